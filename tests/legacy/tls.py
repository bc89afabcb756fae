"""Speaks TLS for a server that does not: certificate, key, port. Prints its own port."""
import asyncio
import ssl
import sys


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])

    async def serve(reader, writer):
        ours = await asyncio.open_connection("127.0.0.1", int(sys.argv[3]))
        await asyncio.gather(pump(reader, ours[1]), pump(ours[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main())

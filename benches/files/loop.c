/* The physical limit beside which package files are measured: one thread that writes the bytes of one mapped file to
 * whoever sends a request, and does nothing else. It reads no header and gives everybody the same.
 *
 *     cc -O2 -o loop loop.c && ./loop FILE PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* What a connection still has to send: `sent` bytes of head and file together are gone, `due` answers are wanted. */
struct peer {
    int socket;
    size_t sent;
    unsigned due;
    unsigned ends; /* How many bytes of a request's end were just read. */
};

static char head[128];
static size_t head_size, file_size;
static char *file;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* Counts the ends of requests: an empty line each. */
static void take(struct peer *peer, const char *bytes, ssize_t size) {
    for (ssize_t i = 0; i < size; i++) {
        char expected = peer->ends % 2 ? '\n' : '\r';
        peer->ends = bytes[i] == expected ? peer->ends + 1 : bytes[i] == '\r';
        if (peer->ends == 4) {
            peer->ends = 0;
            peer->due++;
        }
    }
}

/* Sends what the socket takes; 0 if the peer is gone. */
static int give(struct peer *peer) {
    while (peer->due) {
        struct iovec parts[2] = {{head, head_size}, {file, file_size}};
        size_t skip = peer->sent, first = 0;
        if (skip >= head_size) {
            skip -= head_size;
            first = 1;
        }
        parts[first].iov_base = (char *)parts[first].iov_base + skip;
        parts[first].iov_len -= skip;
        ssize_t wrote = writev(peer->socket, parts + first, 2 - first);
        if (wrote < 0)
            return errno == EAGAIN;
        peer->sent += wrote;
        if (peer->sent == head_size + file_size) {
            peer->sent = 0;
            peer->due--;
        }
    }
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return fprintf(stderr, "loop FILE PORT\n"), 64;
    /* Whoever leaves in the middle of a large answer does not end this program. */
    signal(SIGPIPE, SIG_IGN);
    struct stat about;
    int source = open(argv[1], O_RDONLY);
    if (source < 0 || fstat(source, &about) < 0)
        fail(argv[1]);
    file_size = about.st_size;
    file = mmap(NULL, file_size, PROT_READ, MAP_SHARED | MAP_POPULATE, source, 0);
    if (file == MAP_FAILED)
        fail("mmap");
    head_size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\n\r\n", file_size);

    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {AF_INET, htons(atoi(argv[2])), {htonl(INADDR_LOOPBACK)}, {0}};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0)
        fail("listen");
    struct epoll_event event = {EPOLLIN, {.ptr = NULL}}, events[64];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0)
                    continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                if (!(peer = calloc(1, sizeof *peer)))
                    fail("calloc");
                peer->socket = fd;
                event = (struct epoll_event){EPOLLIN | EPOLLOUT | EPOLLET, {.ptr = peer}};
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
                continue;
            }
            char bytes[4096];
            ssize_t size;
            while ((size = read(peer->socket, bytes, sizeof bytes)) > 0)
                take(peer, bytes, size);
            int gone = size == 0 || (size < 0 && errno != EAGAIN);
            if (gone || !give(peer)) {
                close(peer->socket);
                free(peer);
            }
        }
    }
}

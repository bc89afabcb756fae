-- One call over and over, as Python's client writes it; wrk keeps its connections.
wrk.method = "POST"
wrk.headers["Content-Type"] = "text/xml"
wrk.headers["User-Agent"] = "Python-xmlrpc/3.13"
wrk.body = "<?xml version='1.0'?>\n<methodCall>\n<methodName>changelog_last_serial</methodName>\n<params>\n</params>\n</methodCall>\n"

"""The HTTP/JSON API, described once: which method and path is which command or read, and how its answer looks. PURE.

May import types of services, client.requests, limits, errors, ids. Promises: one table says everything; requests are checked, answers
encoded and the OpenAPI document made from it; whatever is asked, the outcome is an answer or a named error.

    route     what a route is; what is asked of the cluster because of it        kv, sessions, watches, counters   routes of each service
    table     all routes, and which one a method and path mean                   openapi                 the same table as a document
    asking    from a request's query, headers and body to what its route takes   answers                 from outcomes to status and JSON
"""

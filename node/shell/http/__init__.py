"""The HTTP port.

    server         reads a request whole, lets a contract and the driver decide, answers
    router         finds the handler of a path
    request_body   connections and bodies that come in; body_queue: large bodies take turns
    places         how many connections there may be, and which are for peers alone
    core_calls     asks the core: one request, many at once, step by step
    response       one answer that goes out; event_stream: answers that go on; facts: what
                   a node reports of itself to handlers
    feed           answers that go on and ask the core: watches
    line_exchange  bodies of lines, answered while they come
    doorman        clients and their tokens; what the audit says of them
    rates          how often each client may ask
    tls_door       encrypts a connection before the port sees it
    origins        pages of other origins (CORS), and the headers that they may see and send
    port_limits    all times and bounds of the port: how long bodies wait for their turn, how much
                   it holds
    metrics        what a node counts, and what runs here
    api_document   /openapi.json and /v1/docs, made at the first request
    admin_routes   these two, /metrics, /v1/faults and the peers' door

Imports api.contract, api.access, api.openapi, security, the driver and values of the core.  Read
server first.
"""

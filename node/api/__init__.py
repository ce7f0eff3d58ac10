"""HTTP contracts: handlers turn a request into operations of the core, and outcomes into replies.

    contract       what a contract is: routes, calls, replies, refusals
    entry          what the program must know of a contract before it imports the handlers
    parsing        reads bodies, tokens and addresses; refuses what is malformed
    json_values    values as the text that a client sent; repeated_names: names that come twice
    view_change    changes the view, for all contracts
    kept_values    values that are stored with what their writer had seen
    native/        the native API under /v1: single keys, raw, with siblings and contexts
    dialects/      the contracts that graders' scripts speak, one folder each
    admin/         our own routes: health, views
    openapi/       native/ and admin/ as an OpenAPI document and a page, made when they are wanted

Pure: no aiohttp, no clock.  Imports core.model and core.protocol.
"""

"""The native API under /v1: raw values, siblings, exact contexts, levels, conditions.

    key_values     GET, PUT, HEAD and DELETE /v1/kv/{key}: from requests to operations
    key_lists      GET /v1/keys: the keys of all shards, merged page by page
    bulk           POST /v1/bulk: many operations, line by line
    export         GET /v1/export: all that the cluster holds;  export_lines: as lines
    imports        POST /v1/import: these lines written again;  import_lines: from a line to a write
    snapshots      POST /v1/snapshot: values that are consistent with each other
    watch          GET /v1/watch: what changes;  watch_position: how far it has come (the id)
    watch_order    causes before effects;  watch_events: the events as text
    merged_keys    GET, POST and DELETE of /v1/counters/{key} and /v1/sets/{key}
    answers        from outcomes to answers
    policies       GET, PUT and DELETE /v1/policies/{prefix}; which words a policy may have is in
                   core/model/policies
    explain        GET /v1/explain/{key};  explanation: from reports of all nodes to its JSON
    decode         GET /v1/tokens/decode and /v1/contexts/decode
    merging        several values shown as one: what each `merge` of a policy does
    parameters     reads and checks what a request asks for: query, headers, key
    opaque         tokens and contexts as the opaque text that clients send back
    problems       refusals as problem documents, and the texts that explain each kind
    described      all of this for the OpenAPI document; a new route is described there, or in
                   described_many, which has the requests about many keys, merged_described or
                   explain_described

Read key_values, then answers.  (RFC 9110: methods, tags, conditions; RFC 9457: problems.)
"""

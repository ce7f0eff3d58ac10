"""Our own routes, which every node serves beside its contract.

health         /livez, /readyz, /v1/status (core/status says what is in it), and /v1/limits
view_jobs      /v1/view: plan a change, commit it, watch it, take it back
view_plans     what a change would do
described      all of this, and the server's own routes, for the OpenAPI document
"""

"""The description of our own routes: an OpenAPI document, and a page that shows it.

    parts          the words of a description: parameters, bodies, headers, answers
    document       from the routes that a node serves, and their descriptions, to the document
    page           the document as one HTML page
    page_style     how that page looks

The descriptions stand beside the handlers: api/native/described, api/admin/described.  A node
imports all of this at the first request for it.
"""

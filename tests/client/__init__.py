"""The client library, for threads and for asyncio, against a real cluster and against a script.

conftest     one cluster of processes for all files, and `kv`: both kinds of client in turn
blocking     an AsyncClient that a test calls as it calls a Client
conversing   a scripted world: a conversation is told what nodes answer, and when
bad_nodes    listeners in front of a node that never answer, or lose the answer
"""

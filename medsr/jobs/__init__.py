"""Durable jobs: one store of rows and files, in which every deed is one function and one transaction.

Import from the modules: ``store.open_store``, ``submit.submit``, ``claims.claim``, ``publish.publish`` and so on.
Nothing here speaks HTTP, runs a model or imports a framework before a function needs it.
"""

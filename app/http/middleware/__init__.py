"""What stands around every route: the request record, headers, CORS, keys."""

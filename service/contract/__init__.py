"""What travels over HTTP and the queue, beside the spec itself."""

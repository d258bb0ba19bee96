"""What the end-to-end tests stand on: certificates, the proxy, origins and clients."""

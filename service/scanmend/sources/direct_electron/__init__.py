"""Direct Electron cameras with their scan generator, over the maker's own client library."""

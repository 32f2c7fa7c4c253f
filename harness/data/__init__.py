"""From files, mirrors, the hub and generated worlds to examples: sources, readers, field mapping, overlap and fetching."""

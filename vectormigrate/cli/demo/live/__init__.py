"""Live migration on real servers, under traffic and kills: `vectormigrate demo --live`."""

"""The main job on embedded engines, with real text that every machine has: `vectormigrate demo`."""

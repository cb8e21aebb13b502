"""Pure: definitions, types, judging, windows. No disk, no socket, no clock; time and bytes come as arguments."""

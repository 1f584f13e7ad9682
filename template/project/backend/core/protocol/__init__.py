"""The ChatKit protocol: requests are parsed and checked, events are written."""

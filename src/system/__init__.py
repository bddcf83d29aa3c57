"""What a cell cost and where it ran: time, memory, versions, hardware."""

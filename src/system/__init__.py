"""What a cell cost and where it ran: time, memory, throughput, versions, hardware."""

"""OSMLanduse labels: pictures fetched politely, decoded offline, filtered by agreement with DW."""

//! A ROMA Connect with its IAM in memory, written from its contract. It shares no code with the kinds of the client.

"""What crosses between processes: messages, mailbox, ledger and queue."""

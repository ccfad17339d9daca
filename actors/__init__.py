"""Who does what, concurrently: messages, mailbox, dispatcher, installation, journal, supervisor, mailer."""

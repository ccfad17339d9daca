"""The mailer, what mails say, and the ways by which they leave: SMTP, a folder, nowhere."""

//! Reports about messages: delivery status notifications. RFC 3464.

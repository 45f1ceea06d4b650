//! What is wrong with a message of HTTP. One byte, so that it goes through all the results on its
//! way to the client in a register; its words are looked up where they are sent.

use super::status::Status;

/// What is wrong with a message, or with who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not a request line.
    RequestLine,
    /// Not a method: they are in capitals.
    Method,
    /// Not HTTP/1.1 or HTTP/1.0.
    Version,
    /// A target with a tab or a fragment.
    Target,
    /// Not a target in absolute form: http://host/path.
    NotAbsolute,
    /// A target without a proper host and port.
    Authority,
    /// CONNECT without a port.
    NoPort,
    /// No Host.
    NoHost,
    /// Two Hosts, or not a proper one.
    Hosts,
    /// A line that ends with LF alone.
    BareLf,
    /// A control character.
    Control,
    /// A folded field.
    Folded,
    /// A field without a colon.
    NoColon,
    /// A blank in front of a colon.
    BlankBeforeColon,
    /// A field without a proper name.
    FieldName,
    /// Two lengths, or one that is no number.
    Length,
    /// A transfer coding that is not chunked alone.
    Coding,
    /// Chunks of HTTP/1.0.
    OldChunks,
    /// A length and chunks.
    LengthAndChunks,
    /// Connection names a field that frames the message.
    FramingOption,
    /// Not a chunked body.
    Chunks,
    /// The body is cut off.
    CutBody,
    /// Not an answer of HTTP/1.
    Answer,
    /// Another protocol than that which was asked for.
    Protocol,
    /// No room for a long head of an answer.
    NoRoomForLong,
    /// A user and a password are needed.
    NoLogin,
    /// The Host is not the address that was asked.
    OtherHost,
    /// A request line over 8,192 bytes.
    LongLine,
    /// A head over 32 KiB.
    LongHead,
    /// An answer's head over 32 KiB.
    LongAnswer,
    /// Over 100 fields.
    ManyFields,
    /// Over 100 options of Connection.
    ManyOptions,
    /// No room for a head over 8 KiB.
    NoRoom,
}

impl Fault {
    /// The status that a client gets for such a request.
    pub fn status(self) -> Status {
        match self {
            Self::NoLogin => Status::ProxyAuthenticationRequired,
            Self::OtherHost => Status::Forbidden,
            Self::LongLine => Status::UriTooLong,
            Self::LongHead
            | Self::LongAnswer
            | Self::ManyFields
            | Self::ManyOptions
            | Self::NoRoom => Status::HeaderFieldsTooLarge,
            _ => Status::BadRequest,
        }
    }

    /// In a few words, for the body of that response.
    pub fn cause(self) -> &'static str {
        match self {
            Self::RequestLine => "not a request line",
            Self::Method => "not a method: they are in capitals",
            Self::Version => "not HTTP/1.1 or HTTP/1.0",
            Self::Target => "a target with a tab or a fragment",
            Self::NotAbsolute => "not a target in absolute form: http://host/path",
            Self::Authority => "a target without a proper host and port",
            Self::NoPort => "CONNECT without a port",
            Self::NoHost => "no Host",
            Self::Hosts => "two Hosts, or not a proper one",
            Self::BareLf => "a line that ends with LF alone",
            Self::Control => "a control character",
            Self::Folded => "a folded field",
            Self::NoColon => "a field without a colon",
            Self::BlankBeforeColon => "a blank in front of a colon",
            Self::FieldName => "a field without a proper name",
            Self::Length => "two lengths, or one that is no number",
            Self::Coding => "a transfer coding that is not chunked alone",
            Self::OldChunks => "chunks of HTTP/1.0",
            Self::LengthAndChunks => "a length and chunks",
            Self::FramingOption => "Connection names a field that frames the message",
            Self::Chunks => "not a chunked body",
            Self::CutBody => "the body is cut off",
            Self::Answer => "not an answer of HTTP/1",
            Self::Protocol => "a protocol that nobody has asked for",
            Self::NoRoomForLong => "no room for a long head",
            Self::NoLogin => "a user and a password are needed",
            Self::OtherHost => "the Host is not the address that was asked",
            Self::LongLine => "a request line over 8,192 bytes",
            Self::LongHead => "a head over 32 KiB",
            Self::LongAnswer => "an answer's head over 32 KiB",
            Self::ManyFields => "over 100 fields",
            Self::ManyOptions => "over 100 options of Connection",
            Self::NoRoom => "no room for a head over 8 KiB",
        }
    }
}

//! Header names, their compact forms, and what may be repeated.

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $spelling:literal $(, $compact:literal)?;)*) => {
        /// A header that some part of Duogate knows. Case-insensitive (RFC 3261 section 7.3.1).
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Name {
            $(#[doc = concat!("`", $spelling, "`")] $variant,)*
            /// Any other; its spelling is in the header itself.
            Other,
        }

        impl Name {
            /// Every name but [`Name::Other`].
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The long form, as it is printed.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $spelling,)*
                    Self::Other => "an extension header",
                }
            }

            /// From the long form as the RFCs spell it, which nearly all do.
            fn from_usual_spelling(spelling: &str) -> Option<Self> {
                match spelling {
                    $($spelling => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The one-letter form, where there is one.
            #[must_use]
            pub const fn compact(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => Some($compact),)?)*
                    _ => None,
                }
            }
        }
    };
}

names! {
    Accept = "Accept";
    Alert = "Alert-Info";
    Allow = "Allow";
    AllowEvents = "Allow-Events", "u";
    AuthenticationInfo = "Authentication-Info";
    Authorization = "Authorization";
    CallId = "Call-ID", "i";
    Contact = "Contact", "m";
    ContentDisposition = "Content-Disposition";
    ContentEncoding = "Content-Encoding", "e";
    ContentLength = "Content-Length", "l";
    ContentType = "Content-Type", "c";
    CSeq = "CSeq";
    Date = "Date";
    Event = "Event", "o";
    Expires = "Expires";
    From = "From", "f";
    InfoPackage = "Info-Package";
    MaxForwards = "Max-Forwards";
    MinExpires = "Min-Expires";
    MinSe = "Min-SE";
    PAssertedIdentity = "P-Asserted-Identity";
    Privacy = "Privacy";
    ProxyAuthenticationInfo = "Proxy-Authentication-Info";
    ProxyAuthenticate = "Proxy-Authenticate";
    ProxyAuthorization = "Proxy-Authorization";
    ProxyRequire = "Proxy-Require";
    RAck = "RAck";
    Reason = "Reason";
    RecordRoute = "Record-Route";
    RecvInfo = "Recv-Info";
    ReferTo = "Refer-To", "r";
    Replaces = "Replaces";
    Require = "Require";
    RetryAfter = "Retry-After";
    Route = "Route";
    RSeq = "RSeq";
    Server = "Server";
    SessionExpires = "Session-Expires", "x";
    Subject = "Subject", "s";
    Supported = "Supported", "k";
    Timestamp = "Timestamp";
    To = "To", "t";
    Unsupported = "Unsupported";
    UserAgent = "User-Agent";
    Via = "Via", "v";
    Warning = "Warning";
    WwwAuthenticate = "WWW-Authenticate";
}

impl Name {
    /// From its spelling in either form.
    #[must_use]
    pub fn from_spelling(spelling: &str) -> Self {
        if let Some(name) = Self::from_usual_spelling(spelling) {
            return name;
        }
        let bytes = spelling.as_bytes();
        if bytes.len() == 1 {
            return Self::from_letter(bytes[0]);
        }
        let candidates = Self::ALL.iter().copied();
        candidates
            .filter(|name| name.as_str().len() == bytes.len())
            .find(|name| name.as_str().eq_ignore_ascii_case(spelling))
            .unwrap_or(Self::Other)
    }

    fn from_letter(letter: u8) -> Self {
        let candidates = Self::ALL.iter().copied();
        let mut found = candidates.filter(|name| {
            name.compact().is_some_and(|form| form.as_bytes()[0] == letter.to_ascii_lowercase())
        });
        found.next().unwrap_or(Self::Other)
    }
}

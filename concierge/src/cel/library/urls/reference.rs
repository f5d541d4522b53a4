//! URLs as Go's `net/url` reads them (RFC 3986 with its departures), since what kube-apiserver's `url` takes is what that
//! package takes. Nothing is normalised but the scheme; the `url` crate, which follows WHATWG, normalises much more.

use std::{borrow::Cow, net::Ipv6Addr};

use crate::cel::Opaque;

/// The name of the type in expressions.
pub(super) const TYPE_NAME: &str = "kubernetes.URL";

/// Most parameters that a query may have; Go ignores a query with more.
const MAX_PARAMETERS: usize = 10_000;

/// A URL or an absolute path. Two are equal when they are written alike after decoding and encoding them again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    scheme: String,
    /// What follows a scheme without a slash, as in `mailto:a@b`. Then there is no host and no path.
    opaque: String,
    /// Whether two slashes say that a host follows, be it an empty one.
    authority: bool,
    user: Option<User>,
    /// Decoded: any octets.
    host: Vec<u8>,
    path: String,
    query: Option<String>,
    fragment: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

impl Opaque for Url {
    fn type_name(&self) -> &'static str {
        TYPE_NAME
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast() == Some(self)
    }
}

/// Where a text stands that is read as URL.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    /// In the first line of an HTTP request: absolute, and `#` has no meaning.
    Request,
    /// Anywhere.
    Document,
}

/// Whether a text is an absolute URL or an absolute path.
pub(in crate::cel::library) fn is_absolute(text: &str) -> bool {
    parse(text, Context::Request).is_some()
}

impl Url {
    /// Reads a text that is absolute ([`is_absolute`]); only then its fragment is cut off, as kube-apiserver does.
    pub(super) fn absolute(text: &str) -> Option<Self> {
        if !is_absolute(text) {
            return None;
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        Some(Self { fragment: encoded(fragment, Part::Fragment)?, ..parse(rest, Context::Document)? })
    }

    pub(super) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Host and port. Octets that are no UTF-8 become U+FFFD: our texts cannot hold them, as Go's can.
    pub(super) fn host(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.host)
    }

    pub(super) fn host_name(&self) -> String {
        let host = self.host();
        let name = split_port(&host).map_or(&*host, |(name, _)| name);
        name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).to_owned()
    }

    pub(super) fn port(&self) -> String {
        split_port(&self.host()).map_or_else(String::new, |(_, port)| port.to_owned())
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// The query as it is written.
    pub(super) fn query(&self) -> &str {
        self.query.as_deref().unwrap_or_default()
    }

    /// Names and values in their order. What cannot be read, or holds a semicolon, is left out.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.query();
        let readable = query.matches('&').count() < MAX_PARAMETERS;
        let parameters = query.split('&').filter(move |parameter| readable && !parameter.is_empty());
        parameters.filter(|parameter| !parameter.contains(';')).filter_map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let decode = |text| decoded(text, Part::Query).map(|octets| String::from_utf8_lossy(&octets).into_owned());
            Some((decode(name)?, decode(value)?))
        })
    }
}

/// The host before the last colon and the port behind it, if that is one.
fn split_port(host: &str) -> Option<(&str, &str)> {
    host.rsplit_once(':').filter(|(_, port)| is_port(port))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|octet| octet.is_ascii_digit())
}

fn parse(text: &str, context: Context) -> Option<Url> {
    if text.bytes().any(|octet| octet.is_ascii_control()) || text.is_empty() && context == Context::Request {
        return None;
    }
    let (scheme, rest) = if text == "*" { ("", text) } else { split_scheme(text)? };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query.to_owned())));
    let mut url = Url {
        scheme: scheme.to_ascii_lowercase(),
        opaque: String::new(),
        authority: false,
        user: None,
        host: Vec::new(),
        path: String::new(),
        query,
        fragment: String::new(),
    };
    if !rest.starts_with('/') && text != "*" {
        if !scheme.is_empty() {
            rest.clone_into(&mut url.opaque);
            return Some(url);
        }
        // What comes without a scheme and without a slash is relative. It is read only after it was found absolute,
        // so that nothing but an empty rest before a fragment is left here.
        if context == Context::Request || !rest.is_empty() {
            return None;
        }
    }
    let has_authority = !scheme.is_empty() || context == Context::Document && !rest.starts_with("///");
    let path = match rest.strip_prefix("//").filter(|_| has_authority) {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (url.user, url.host) = parse_authority(&url.scheme, authority)?;
            // Go does not write the slashes of an authority of which nothing else is written.
            let empty = url.host.is_empty() && url.user.is_none();
            url.authority = !(empty && (url.scheme.is_empty() || path.is_empty()));
            path
        }
        None => rest,
    };
    url.path = encoded(path, Part::Path)?;
    Some(url)
}

/// The scheme and what follows its colon. `None`: there is a colon but no scheme.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let is_scheme = |octet: u8| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet);
    match text.bytes().position(|octet| !is_scheme(octet)) {
        Some(0) if text.starts_with(':') => None,
        Some(end) if text[end..].starts_with(':') && text.as_bytes()[0].is_ascii_alphabetic() => {
            Some((&text[..end], &text[end + 1..]))
        }
        _ => Some(("", text)),
    }
}

fn parse_authority(scheme: &str, authority: &str) -> Option<(Option<User>, Vec<u8>)> {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return Some((None, parse_host(scheme, authority)?));
    };
    let host = parse_host(scheme, host)?;
    if !user.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&octet)) {
        return None;
    }
    let (name, password) = user.split_once(':').map_or((user, None), |(name, password)| (name, Some(password)));
    let password = match password {
        Some(password) => Some(decoded(password, Part::User)?),
        None => None,
    };
    Some((Some(User { name: decoded(name, Part::User)?, password }), host))
}

fn parse_host(scheme: &str, host: &str) -> Option<Vec<u8>> {
    match host.rfind('[') {
        Some(0) => return parse_ip_literal(host),
        Some(_) => return None,
        None => {}
    }
    // A second colon is refused where Go knows that a host has none, and allowed for lists of hosts elsewhere.
    let strict = matches!(scheme, "http" | "https");
    let port = if strict { host.split_once(':') } else { host.rsplit_once(':') };
    if port.is_some_and(|(_, port)| !is_port(port)) {
        return None;
    }
    decoded(host, Part::Host)
}

/// `[address]` or `[address%25zone]`, with or without a port (RFC 6874).
fn parse_ip_literal(host: &str) -> Option<Vec<u8>> {
    let (literal, port) = host.strip_prefix('[')?.rsplit_once(']')?;
    if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
        return None;
    }
    let (address, zone) = literal.split_at(literal.find("%25").unwrap_or(literal.len()));
    let address = [decoded(address, Part::Host)?, decoded(zone, Part::Zone)?].concat();
    let (number, zone) = match address.iter().position(|octet| *octet == b'%') {
        Some(end) => (&address[..end], Some(&address[end + 1..])),
        None => (&*address, None),
    };
    str::from_utf8(number).ok()?.parse::<Ipv6Addr>().ok()?;
    if zone.is_some_and(<[u8]>::is_empty) {
        return None;
    }
    Some([b"[", &*address, b"]", port.as_bytes()].concat())
}

/// The parts of a URL, which are encoded differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Fragment,
    Host,
    Path,
    Query,
    User,
    Zone,
}

impl Part {
    /// Whether Go leaves this octet as it is when it encodes the part.
    fn keeps(self, octet: u8) -> bool {
        octet.is_ascii_alphanumeric()
            || b"-._~".contains(&octet)
            || match self {
                Self::Fragment => b"!$&()*+,/:;=?@".contains(&octet),
                Self::Host | Self::Zone => b"!$&'()*+,;=:[]<>\"".contains(&octet),
                Self::Path => b"$&+,/:;=@".contains(&octet),
                // Both are decoded only.
                Self::Query | Self::User => false,
            }
    }
}

/// Decodes `%XX`, and `+` in queries. `None` where something else follows a percent sign, or where the part does not take
/// what is written.
fn decoded(text: &str, part: Part) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match *first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                let mut octet = [0];
                hex::decode_to_slice(digits, &mut octet).ok()?;
                let [octet] = octet;
                let is_percent = octet == b'%';
                match part {
                    // RFC 3986, 3.2.2: hosts encode what is not ASCII; RFC 6874 adds the percent sign.
                    Part::Host if octet.is_ascii() && !is_percent => return None,
                    // What could not be written plainly cannot be encoded either, but for the space.
                    Part::Zone if octet.is_ascii() && !is_percent && octet != b' ' && !part.keeps(octet) => {
                        return None;
                    }
                    _ => octets.push(octet),
                }
                rest = after;
            }
            b'+' if part == Part::Query => octets.push(b' '),
            octet if matches!(part, Part::Host | Part::Zone) && octet.is_ascii() && !part.keeps(octet) => return None,
            octet => octets.push(octet),
        }
    }
    Some(octets)
}

/// The part as it is written, if nothing in it needed to be encoded, else decoded and encoded again.
fn encoded(text: &str, part: Part) -> Option<String> {
    const UPPERCASE_HEX: &[u8; 16] = b"0123456789ABCDEF";
    let octets = decoded(text, part)?;
    if text.bytes().all(|octet| part.keeps(octet) || b"!$&'()*+,;=:@[]%".contains(&octet)) {
        return Some(text.to_owned());
    }
    let mut encoded = String::with_capacity(text.len());
    for octet in octets {
        if part.keeps(octet) {
            encoded.push(char::from(octet));
        } else {
            let digit = |half: u8| char::from(UPPERCASE_HEX[usize::from(half)]);
            encoded.extend(['%', digit(octet >> 4), digit(octet & 0xf)]);
        }
    }
    Some(encoded)
}

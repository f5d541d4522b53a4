//! Kubernetes' URL library.

mod reference;

use std::{collections::HashMap, collections::hash_map::Entry};

use self::reference::{TYPE_NAME, Url};
use crate::cel::{
    Budget,
    EvaluationError::{self, NoSuchOverload, Unreadable},
    Map, Overload, Type, Value,
};

pub(super) use self::reference::is_absolute;

pub(super) fn overloads() -> Vec<Overload> {
    let url = || Type::Opaque(TYPE_NAME);
    let text = || Type::String;
    vec![
        Overload::member("getEscapedPath", [url()], text(), |of, budget| part("getEscapedPath", of, budget, Url::path)),
        Overload::member("getHost", [url()], text(), |of, budget| part("getHost", of, budget, Url::host)),
        Overload::member("getHostname", [url()], text(), |of, budget| part("getHostname", of, budget, Url::host_name)),
        Overload::member("getPort", [url()], text(), |of, budget| part("getPort", of, budget, Url::port)),
        Overload::member("getQuery", [url()], Type::map(text(), Type::list(text())), get_query),
        Overload::member("getScheme", [url()], text(), |of, budget| part("getScheme", of, budget, Url::scheme)),
        Overload::global("isURL", [text()], Type::Bool, is_url),
        Overload::global("url", [text()], url(), to_url),
    ]
}

fn to_url(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("url"));
    };
    // It is read twice, and each octet takes at most three when it is encoded.
    budget.scan(text.len())?;
    budget.build(3 * text.len() + size_of::<Url>())?;
    Ok(Value::opaque(Url::absolute(text).ok_or(Unreadable("URL"))?))
}

fn is_url(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = arguments else {
        return Err(NoSuchOverload("isURL"));
    };
    // Reading it builds it, too.
    budget.build(3 * text.len())?;
    Ok(is_absolute(text).into())
}

fn part<'a, T: AsRef<str> + 'a>(
    function: &'static str,
    arguments: &'a [Value],
    budget: &mut Budget,
    part: impl Fn(&'a Url) -> T,
) -> Result<Value, EvaluationError> {
    let [url] = arguments else {
        return Err(NoSuchOverload(function));
    };
    let url = url.as_opaque::<Url>().ok_or(NoSuchOverload(function))?;
    budget.build(url.path().len().max(url.host().len()).max(url.scheme().len()))?;
    Ok(part(url).as_ref().into())
}

/// The parameters of the query, each with all its values in their order.
fn get_query(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [url] = arguments else {
        return Err(NoSuchOverload("getQuery"));
    };
    let url = url.as_opaque::<Url>().ok_or(NoSuchOverload("getQuery"))?;
    // Name, list and value for each parameter; an octet that is no UTF-8 becomes three.
    budget.build_elements(3 * (url.query().matches('&').count() + 1))?;
    budget.build(3 * url.query().len())?;
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut parameters: Vec<(String, Vec<Value>)> = Vec::new();
    for (name, value) in url.parameters() {
        match positions.entry(name) {
            Entry::Occupied(position) => parameters[*position.get()].1.push(value.into()),
            Entry::Vacant(position) => {
                parameters.push((position.key().clone(), vec![value.into()]));
                position.insert(parameters.len() - 1);
            }
        }
    }
    let parameters = parameters.into_iter().map(|(name, values)| (name.into(), values.into()));
    Ok(Value::Map(parameters.collect::<Map>().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library::examples::{call, call_within, check, spent, texts};

    fn url(text: &str) -> Result<Value, EvaluationError> {
        call(&overloads(), "url", &[text.into()])
    }

    #[track_caller]
    fn gives(function: &str, text: &str, expected: impl Into<Value>) {
        check(&overloads(), function, &[url(text).expect(text)], &Ok(expected.into()));
    }

    #[test]
    fn absolute_urls_and_paths_are_urls() {
        for text in URLS.lines() {
            check(&overloads(), "isURL", &[text.into()], &Ok(true.into()));
        }
        for text in NO_URLS.lines() {
            check(&overloads(), "isURL", &[text.into()], &Ok(false.into()));
            assert_eq!(url(text).unwrap_err(), Unreadable("URL"), "{text}");
        }
        for text in ["", "http://a/\u{1}", "http://a/\u{7f}", "http://a/\n"] {
            check(&overloads(), "isURL", &[text.into()], &Ok(false.into()));
        }
    }

    /// What is a URL to `isURL` where `#` has no meaning, but not to `url`, which then reads it again.
    #[test]
    fn some_fragments_and_hosts_are_refused_late() {
        for text in ["/a?b#%zz", "//[", "x:y#%zz", "//u:p@host:xx/p?q=1#f"] {
            check(&overloads(), "isURL", &[text.into()], &Ok(true.into()));
            assert_eq!(url(text).unwrap_err(), Unreadable("URL"), "{text}");
        }
    }

    const URLS: &str = "\
https://user:pass@example.com:80/path?query=val#fragment
/absolute-path
*
http:
http:opaque
mailto:a@b
//host/path
http://
http://[::1]:80/
http://[::1]:/
http://[fe80::1%25en0]/
http://[fe80::1%25%41]/
http://[fe80::1%25é]/
http://[::ffff:1.2.3.4]/
http://[::ffff:1.2.3.4%25eth0]/
http://[::1.2.3.4]/
http://[1:2:3:4:5:6:7::]/
http://a/b c
http://é.com/
http://a/é
http://a:/
http://a:99999/
http://:80/
http://:/
http://@/
h+t-t.p://a/
foo:bar
foo:/bar
foo:///bar
foo://a:b:80/
http://a@b@c/
http://us%20er@c/
http://u:p:q@c/
http://u/@c/
http://a?b
http://a/?b=%zz
http:%zz
http://a<b>/
http://a\"b/
http://a;b,c=d!$&'()*+/
http://a]b/
http://a%25b/
a:b:c
HTTP://A/
http://a/b;c?d;e
urn:isbn:0451450523
/:a";

    const NO_URLS: &str = "\
https://a:b:c/
../relative-path
relative
http://[::1]x/
http://[::1/
http://::1/
http://host:80:90/
http://[fe80::1%en0]/
http://[fe80::1%zz]/
http://[::1%25]/
http://[::1%25a b]/
http://[zzz]/
http://[]/
http://[1.2.3.4]/
http://[::01.2.3.4]/
http://[00001::]/
http://[1::2:3:4:5:6:7:8]/
http://[%41]/
http://[::1]%25:80/
http://[::1]:8a/
http://[::1]:80:80/
http://%5B::1%5D/
http://a b/
http://a/b%
http://a/b%2
http://a/b%zz
http://a%20b/
http://a%41b/
http://a%00/
http://a%zz/
 http://a/
http://a:80x/
http://a:-1/
foo://a:b:c/
1http://a/
h_p://a/
:foo
http://us er@c/
http://us%zzer@c/
http://u[@c/
http://u#@c/
http://ué@c/
http://u!$&'()*+,;=-._~%@c/
http://a#b
http://a/#%zz
/a#%zz
http://a\\b/
http://a|b/
http://a[b/
?a
#a";

    #[test]
    fn urls_have_parts() {
        let full = "HTTPS://user:pass@Example.com:80/Path?query=val#fragment";
        for (text, scheme, host, name, port, path) in [
            (full, "https", "Example.com:80", "Example.com", "80", "/Path"),
            ("/a/b", "", "", "", "", "/a/b"),
            ("*", "", "", "", "", "*"),
            ("//host/path", "", "host", "host", "", "/path"),
            ("//host#frag", "", "host", "host", "", ""),
            ("//", "", "", "", "", ""),
            ("///p", "", "", "", "", "///p"),
            ("////p", "", "", "", "", "////p"),
            ("http:////p", "http", "", "", "", "//p"),
            ("http://[::1]:80/", "http", "[::1]:80", "::1", "80", "/"),
            ("http://[::1]", "http", "[::1]", "::1", "", ""),
            ("http://[fe80::1%25e%20n0]/", "http", "[fe80::1%e n0]", "fe80::1%e n0", "", "/"),
            ("http://[fe80::1%25a%5Db]:80/", "http", "[fe80::1%a]b]:80", "fe80::1%a]b", "80", "/"),
            ("http://[fe80::1%25%25]/", "http", "[fe80::1%%]", "fe80::1%%", "", "/"),
            ("http://a:/", "http", "a:", "a", "", "/"),
            ("http://a@:80/", "http", ":80", "", "80", "/"),
            ("foo://a:b:80/", "foo", "a:b:80", "a:b", "80", "/"),
            ("http://a%C3%A9:8/", "http", "aé:8", "aé", "8", "/"),
            ("urn:isbn:0451450523", "urn", "", "", "", ""),
            ("http:/opaque?x=1", "http", "", "", "", "/opaque"),
        ] {
            gives("getScheme", text, scheme);
            gives("getHost", text, host);
            gives("getHostname", text, name);
            gives("getPort", text, port);
            gives("getEscapedPath", text, path);
        }
        check(&overloads(), "getHost", &["http://a/".into()], &Err(NoSuchOverload("getHost")));
        check(&overloads(), "url", &[1.into()], &Err(NoSuchOverload("url")));
    }

    #[test]
    fn paths_are_encoded() {
        for (text, path) in [
            ("http://a/b%2fc", "/b%2fc"),
            ("http://a/b c", "/b%20c"),
            ("http://a/é", "/%C3%A9"),
            ("http://a/%FF", "/%FF"),
            ("http://a/b[c]!$&'()*+,;=:@-._~%41", "/b[c]!$&'()*+,;=:@-._~%41"),
            ("http://a/é[]!$&'()*+,;=:@-._~%2f", "/%C3%A9%5B%5D%21$&%27%28%29%2A+,;=:@-._~/"),
            ("http://a/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("http://a/%22%3c%3E", "/%22%3c%3E"),
            ("http://a/b#c/d?e=f", "/b"),
            ("http://a", ""),
        ] {
            gives("getEscapedPath", text, path);
        }
    }

    #[test]
    fn queries_have_parameters() {
        for (text, parameters) in [
            ("http://a/b?c=d&c=e&f", &[("c", &["d", "e"][..]), ("f", &[""])][..]),
            ("http://a/b?c=%20+d", &[("c", &["  d"])]),
            ("http://a/b?c=%zz&d=1&%&=", &[("d", &["1"]), ("", &[""])]),
            ("http://a/b?c;d=1&e=2", &[("e", &["2"])]),
            ("http://a/b?&&", &[]),
            ("http://a/b?", &[]),
            ("http://a/b", &[]),
            ("http://a/b?=x", &[("", &["x"])]),
            ("http://a/b?a=b=c", &[("a", &["b=c"])]),
            ("http://a/b?%61=1&a=2", &[("a", &["1", "2"])]),
            ("http://a/b??x=1", &[("?x", &["1"])]),
            ("http://a/b?a b=c d", &[("a b", &["c d"])]),
            ("http://a/b?x=1#y=2", &[("x", &["1"])]),
            ("mailto:a@b?subject=x#y", &[("subject", &["x"])]),
        ] {
            let parameters = parameters.iter().map(|(name, values)| (Value::from(*name), texts(values)));
            gives("getQuery", text, Value::Map(parameters.collect::<Map>().into()));
        }
        // Go reads no query of more parameters than this.
        for (count, size) in [(10_000, 1), (10_001, 0)] {
            let many = url(&format!("/?{}", vec!["a"; count].join("&"))).unwrap();
            let Ok(Value::Map(query)) = call(&overloads(), "getQuery", &[many]) else { panic!("no map") };
            assert_eq!(query.len(), size);
        }
    }

    #[test]
    fn urls_are_equal_as_they_are_written_again() {
        for (left, right, expected) in [
            ("http://u:p@a/", "http://u:p@a/", true),
            ("http://u%41@a/", "http://uA@a/", true),
            ("HTTP://a", "http://a", true),
            ("http://é/", "http://%C3%A9/", true),
            ("http://a/ ", "http://a/%20", true),
            ("/a#", "/a", true),
            ("http:", "http://", true),
            ("/a%2fb", "/a%2Fb", false),
            ("/a%41b", "/aAb", false),
            ("/a#b", "/a", false),
            ("/a#%41", "/a#A", false),
            ("/a?", "/a", false),
            ("http://u:@a/", "http://u@a/", false),
            ("http://@a/", "http://a/", false),
            ("http://a", "http://a/", false),
            ("http://A", "http://a", false),
            ("///a", "/a", false),
            ("foo:/a", "foo:///a", false),
            ("/../a", "/a", false),
        ] {
            let equal = url(left).unwrap().equals(&url(right).unwrap(), &mut Budget::default());
            assert_eq!(equal, Ok(expected), "{left} == {right}");
        }
    }

    #[test]
    fn everything_is_paid_for() {
        let example = url("http://a/b?c").unwrap();
        for overload in overloads() {
            let argument = if overload.member { example.clone() } else { "http://a/b?c".into() };
            let overloads = std::slice::from_ref(&overload);
            let found = call_within(overloads, overload.function, &[argument], &mut spent());
            assert_eq!(found.unwrap_err(), EvaluationError::TooCostly, "{}", overload.function);
        }
    }
}

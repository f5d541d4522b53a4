//! Kubernetes' library of named formats: names, labels, URIs, UUIDs, base64 and dates, each with what is wrong with a text.

mod dates;
mod names;

use std::sync::Arc;

use self::{
    dates::{is_date, is_date_time},
    names::{completed, dns_label, dns_subdomain, label_value, old_dns_label, qualified_name},
};
use super::urls::is_absolute;
use crate::cel::{
    Budget,
    EvaluationError::{self, NoSuchOverload},
    Opaque, Overload, Type, Value,
};

/// The name of the type in expressions.
const TYPE_NAME: &str = "kubernetes.NamedFormat";

/// What is wrong with a text, one sentence each; nothing when it is well formed. The number of sentences is that of
/// kube-apiserver, their words are ours: no expression should depend on them.
type Faults = Vec<&'static str>;

#[derive(Debug)]
struct Format {
    name: &'static str,
    faults: fn(&str) -> Faults,
}

static FORMATS: [Format; 13] = [
    Format { name: "dns1123Label", faults: dns_label },
    Format { name: "dns1123Subdomain", faults: dns_subdomain },
    Format { name: "dns1035Label", faults: old_dns_label },
    Format { name: "qualifiedName", faults: qualified_name },
    Format { name: "dns1123LabelPrefix", faults: |text| dns_label(&completed(text)) },
    Format { name: "dns1123SubdomainPrefix", faults: |text| dns_subdomain(&completed(text)) },
    Format { name: "dns1035LabelPrefix", faults: |text| old_dns_label(&completed(text)) },
    Format { name: "labelValue", faults: label_value },
    Format { name: "uri", faults: |text| unless(is_absolute(text), "not an absolute URL or path") },
    Format { name: "uuid", faults: |text| unless(is_uuid(text), "not a UUID") },
    Format { name: "byte", faults: |text| unless(is_base64(text), "invalid base64") },
    Format { name: "date", faults: |text| unless(is_date(text), "invalid date") },
    Format { name: "datetime", faults: |text| unless(is_date_time(text), "invalid datetime") },
];

/// One of [`FORMATS`].
#[derive(Clone, Copy, Debug)]
struct NamedFormat(&'static Format);

impl Opaque for NamedFormat {
    fn type_name(&self) -> &'static str {
        TYPE_NAME
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>().is_some_and(|other| self.0.name == other.0.name)
    }
}

pub(super) fn overloads() -> Vec<Overload> {
    let format = || Type::Opaque(TYPE_NAME);
    let mut overloads = vec![
        Overload::global("format.named", [Type::String], Type::optional(format()), named),
        Overload::member("validate", [format(), Type::String], Type::optional(Type::list(Type::String)), validate),
    ];
    let mut constant = |name, call| overloads.push(Overload::global(name, [], format(), call));
    constant("format.dns1123Label", format_of::<0>);
    constant("format.dns1123Subdomain", format_of::<1>);
    constant("format.dns1035Label", format_of::<2>);
    constant("format.qualifiedName", format_of::<3>);
    constant("format.dns1123LabelPrefix", format_of::<4>);
    constant("format.dns1123SubdomainPrefix", format_of::<5>);
    constant("format.dns1035LabelPrefix", format_of::<6>);
    constant("format.labelValue", format_of::<7>);
    constant("format.uri", format_of::<8>);
    constant("format.uuid", format_of::<9>);
    constant("format.byte", format_of::<10>);
    constant("format.date", format_of::<11>);
    constant("format.datetime", format_of::<12>);
    overloads
}

fn format_of<const INDEX: usize>(_: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build_elements(1)?;
    Ok(Value::opaque(NamedFormat(&FORMATS[INDEX])))
}

fn named(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(name)] = arguments else {
        return Err(NoSuchOverload("format.named"));
    };
    budget.build_elements(1)?;
    let format = FORMATS.iter().find(|format| format.name == &**name);
    Ok(Value::Optional(format.map(|format| Arc::new(Value::opaque(NamedFormat(format))))))
}

/// What is wrong with a text; no value when nothing is.
fn validate(arguments: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [format, Value::String(text)] = arguments else {
        return Err(NoSuchOverload("validate"));
    };
    let format = format.as_opaque::<NamedFormat>().ok_or(NoSuchOverload("validate"))?;
    // URLs, the largest that a format reads, take at most three octets for one.
    budget.build(3 * text.len())?;
    let faults = (format.0.faults)(text);
    if faults.is_empty() {
        return Ok(Value::Optional(None));
    }
    let bytes = faults.iter().map(|fault| fault.len()).sum();
    let faults = super::strings::list_of_parts(faults.len(), bytes, faults.into_iter(), budget)?;
    Ok(Value::Optional(Some(Arc::new(faults))))
}

fn unless(holds: bool, fault: &'static str) -> Faults {
    if holds { Vec::new() } else { vec![fault] }
}

/// Hexadecimal digits of both cases, in five groups; each dash between them may be absent.
fn is_uuid(text: &str) -> bool {
    let mut rest = text.as_bytes();
    for (group, digits) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if group > 0 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
        rest = match rest.split_at_checked(digits) {
            Some((digits, after)) if digits.iter().all(u8::is_ascii_hexdigit) => after,
            _ => return false,
        };
    }
    rest.is_empty()
}

/// Standard base64 with its padding (RFC 4648, 4), at least one octet. Bits behind the last octet may be anything.
fn is_base64(text: &str) -> bool {
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let is_digit = |octet: u8| octet.is_ascii_alphanumeric() || octet == b'+' || octet == b'/';
    !text.is_empty() && text.len().is_multiple_of(4) && digits.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::library::examples::{call, call_within, spent};

    /// How many faults a format finds in a text.
    fn faults(format: &str, text: &str) -> usize {
        let format = call(&overloads(), &format!("format.{format}"), &[]).unwrap();
        match call(&overloads(), "validate", &[format, text.into()]) {
            Ok(Value::Optional(None)) => 0,
            Ok(Value::Optional(Some(faults))) => faults.as_list().unwrap().len(),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check(format: &str, rows: &[(&str, usize)]) {
        for (text, expected) in rows {
            assert_eq!(faults(format, text), *expected, "{format} of {text:?}");
        }
    }

    #[test]
    fn formats_are_named() {
        for format in &FORMATS {
            let named = call(&overloads(), "format.named", &[format.name.into()]).unwrap();
            let constant = call(&overloads(), &format!("format.{}", format.name), &[]).unwrap();
            let Value::Optional(Some(named)) = named else { panic!("{} has no value", format.name) };
            assert_eq!(named.equals(&constant, &mut Budget::default()), Ok(true), "{}", format.name);
            assert_eq!(constant.type_of(), Type::Opaque("kubernetes.NamedFormat"));
        }
        for name in ["nope", "DNS1123Label", ""] {
            assert!(matches!(call(&overloads(), "format.named", &[name.into()]), Ok(Value::Optional(None))), "{name}");
        }
        let of = |name| call(&overloads(), name, &[]).unwrap();
        assert_eq!(of("format.uuid").equals(&of("format.uri"), &mut Budget::default()), Ok(false));
        let wrong = call(&overloads(), "validate", &["uuid".into(), "".into()]);
        assert_eq!(wrong.unwrap_err(), NoSuchOverload("validate"));
    }

    #[test]
    fn dns_names() {
        let (long, too_long) = ("a".repeat(63), "a".repeat(64));
        let twice_wrong = format!("{long}-.A");
        check(
            "dns1123Label",
            &[("my-label", 0), ("1a", 0), (&long, 0), ("", 1), ("My", 1), ("a.b", 1), ("a-", 1), ("-a", 1)],
        );
        check("dns1123Label", &[(&too_long, 1), (&twice_wrong, 2), ("a\n", 1), ("é", 1)]);
        let (longest, longer) = (format!("{}a.b", "a.".repeat(125)), format!("{}a.bc", "a.".repeat(125)));
        check(
            "dns1123Subdomain",
            &[("a.b-c.1", 0), (&too_long, 0), (&longest, 0), (&longer, 1), ("a..b", 1), ("a_b", 1), ("", 1), ("a.", 1)],
        );
        check("dns1035Label", &[("a1", 0), (&long, 0), ("1a", 1), ("a.b", 1), ("", 1), (&too_long, 1), ("a-", 1)]);
    }

    #[test]
    fn prefixes_may_end_with_a_dash() {
        let completed = format!("{}-", "a".repeat(63));
        check(
            "dns1123LabelPrefix",
            &[("my-prefix-", 0), ("a-", 0), ("A-", 0), ("a--", 0), (&completed, 0), ("-", 1), ("é-", 1), ("Aa-", 1)],
        );
        check("dns1123SubdomainPrefix", &[("a.b.-", 0), ("a.-", 0), ("a..-", 0), ("a...-", 1)]);
        check("dns1035LabelPrefix", &[("a-", 0), ("1-", 0), ("--", 0), ("1a-", 1)]);
    }

    #[test]
    fn labels() {
        let (long, too_long) = ("a".repeat(63), "a".repeat(64));
        let wrong_and_long = format!("{too_long}-");
        check(
            "qualifiedName",
            &[("apiextensions.k8s.io/v1beta1", 0), ("a", 0), ("A_b.c-D", 0), (&long, 0), ("a/b/c", 1), ("/b", 1)],
        );
        check(
            "qualifiedName",
            &[("a/", 2), ("A/", 3), ("A/-", 2), ("", 2), ("a/b-", 1), (&too_long, 1), (&wrong_and_long, 2)],
        );
        check(
            "labelValue",
            &[("", 0), ("A_b.c-D", 0), (&long, 0), ("-a", 1), ("a/b", 1), (&too_long, 1), (&wrong_and_long, 2)],
        );
    }

    #[test]
    fn uris_and_uuids() {
        check("uri", &[("http://example.com", 0), ("/path", 0), ("foo", 1), ("", 1), ("http://a b/", 1)]);
        check(
            "uuid",
            &[
                ("123e4567-e89b-12d3-a456-426614174000", 0),
                ("123E4567-E89B-12D3-A456-426614174000", 0),
                ("123e4567e89b12d3a456426614174000", 0),
                ("123e4567-e89b12d3-a456-426614174000", 0),
                ("{123e4567-e89b-12d3-a456-426614174000}", 1),
                ("123e4567-e89b-12d3-a456-42661417400", 1),
                ("123e4567-e89b-12d3-a456-4266141740000", 1),
                ("123e4567--e89b-12d3-a456-426614174000", 1),
                ("urn:uuid:123e4567-e89b-12d3-a456-426614174000", 1),
                ("", 1),
            ],
        );
    }

    #[test]
    fn base64() {
        check("byte", &[("aGVsbG8=", 0), ("aGVs", 0), ("YR==", 0), ("YQ==", 0), ("+/+/", 0)]);
        check("byte", &[("aGVsbG8", 1), ("", 1), ("aGVs\n", 1), ("a-_=", 1), ("====", 1), ("YQ=", 1), ("Y===", 1)]);
    }

    #[test]
    fn dates_and_times() {
        check("date", &[("2021-01-01", 0), ("2020-02-29", 0), ("0000-01-01", 0), ("9999-12-31", 0)]);
        check(
            "date",
            &[("2021-02-29", 1), ("2021-1-1", 1), ("", 1), ("2021-13-01", 1), ("2021-01-01 ", 1), ("10000-01-01", 1)],
        );
        check("date", &[("2021-00-01", 1), ("2021-01-00", 1), ("2021-04-31", 1), ("20210101", 1), ("+021-01-01", 1)]);
        for time in [
            "00:00:00Z",
            "00:00:00z",
            "00:00:00.123456789Z",
            "00:00:00.1234567891234Z",
            "00:00:00,1Z",
            "00:00:00+01:00",
            "00:00:00-24:00",
            "00:00:00+99:99",
            "23:59:59ZTfollows",
        ] {
            check("datetime", &[(&format!("2021-01-01T{time}"), 0), (&format!("2021-02-30T{time}"), 1)]);
            check("datetime", &[(&format!("2021-01-01t{time}"), 0), (&format!("2021-01-01 {time}"), 1)]);
        }
        for time in [
            "",
            "00:00:00",
            "00:00:00.Z",
            "00:00:00\n1Z",
            "00:00:00+0100",
            "00:00:00+1:00",
            "00:00:00 01:00",
            "24:00:00Z",
            "23:59:60Z",
            "23:60:00Z",
            "0:00:00Z",
            "00:00:00Z\n",
            "00:00:00Zx",
            "é0:00:00Z",
        ] {
            check("datetime", &[(&format!("2021-01-01T{time}"), 1)]);
        }
        check("datetime", &[("", 1), ("T", 1), ("2021-01-01", 1), ("x2021-01-01T00:00:00Z", 1)]);
    }

    #[test]
    fn everything_is_paid_for() {
        let format = call(&overloads(), "format.uuid", &[]).unwrap();
        for overload in overloads() {
            let arguments = [format.clone(), "text".into()];
            let arguments = match overload.parameters.len() {
                0 => &[][..],
                1 => &arguments[1..],
                _ => &arguments[..],
            };
            let overloads = std::slice::from_ref(&overload);
            let found = call_within(overloads, overload.function, arguments, &mut spent());
            assert_eq!(found.unwrap_err(), EvaluationError::TooCostly, "{}", overload.function);
        }
    }
}

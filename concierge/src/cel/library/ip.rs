//! IP addresses (Kubernetes' `net.IP`): IPv4 and IPv6, without zones and without IPv4 in the clothes of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::cel::{Budget, EvaluationError, Opaque, Overload, Type, Value};

pub(super) const IP: Type = Type::Opaque("net.IP");

const UNREADABLE: EvaluationError = EvaluationError::Unreadable("IP address");
const WRONG_TYPE: EvaluationError = EvaluationError::NoSuchOverload("a function of IP addresses");

/// Bytes of the longest address in text: eight groups of four digits.
const LONGEST: usize = 39;

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        Overload::global("ip", [Type::String], IP, ip),
        Overload::global("isIP", [Type::String], Type::Bool, is_ip),
        Overload::global("ip.isCanonical", [Type::String], Type::Bool, is_canonical),
        Overload::global("string", [IP], Type::String, string),
        Overload::member("family", [IP], Type::Int, family),
        Overload::member("isUnspecified", [IP], Type::Bool, |v, b| is(v, b, IpAddr::is_unspecified)),
        Overload::member("isLoopback", [IP], Type::Bool, |v, b| is(v, b, IpAddr::is_loopback)),
        Overload::member("isLinkLocalMulticast", [IP], Type::Bool, |v, b| is(v, b, is_link_local_multicast)),
        Overload::member("isLinkLocalUnicast", [IP], Type::Bool, |v, b| is(v, b, is_link_local_unicast)),
        Overload::member("isGlobalUnicast", [IP], Type::Bool, |v, b| is(v, b, is_global_unicast)),
    ]
}

/// The value of an expression that is an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ip(pub(super) IpAddr);

impl Opaque for Ip {
    fn type_name(&self) -> &'static str {
        "net.IP"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }
}

/// Reads an address. An IPv4 address has no leading zeros; IPv6 may end in four decimal octets, but
/// `::ffff:1.2.3.4` is refused: it would be another value than `1.2.3.4` and the same host.
pub(super) fn parse(text: &str, budget: &mut Budget) -> Result<IpAddr, EvaluationError> {
    budget.scan(text.len())?;
    let address: IpAddr = text.parse().map_err(|_| UNREADABLE)?;
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => Err(UNREADABLE),
        _ => Ok(address),
    }
}

fn ip(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    let address = parse(text, budget)?;
    budget.build(size_of::<Ip>())?;
    Ok(Value::opaque(Ip(address)))
}

fn is_ip(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    match parse(text, budget) {
        Ok(_) => Ok(true.into()),
        Err(UNREADABLE) => Ok(false.into()),
        Err(unaffordable) => Err(unaffordable),
    }
}

/// Whether a text is the one that its address is printed as. A text that is no address is an error.
fn is_canonical(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    let address = parse(text, budget)?;
    budget.build(LONGEST)?;
    Ok((address.to_string().as_str() == &**text).into())
}

fn string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build(LONGEST)?;
    Ok(address(values)?.to_string().into())
}

fn family(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(Value::Int(if address(values)?.is_ipv4() { 4 } else { 6 }))
}

fn is(values: &[Value], budget: &mut Budget, test: fn(&IpAddr) -> bool) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(test(&address(values)?).into())
}

fn address(values: &[Value]) -> Result<IpAddr, EvaluationError> {
    let [value] = values else { return Err(WRONG_TYPE) };
    value.as_opaque::<Ip>().map(|ip| ip.0).ok_or(WRONG_TYPE)
}

/// `224.0.0.0/24`, and of `ff00::/8` what has the scope of a link (RFC 4291 section 2.7).
fn is_link_local_multicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets().starts_with(&[224, 0, 0]),
        IpAddr::V6(address) => address.segments()[0] & 0xff0f == 0xff02,
    }
}

fn is_link_local_unicast(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// As Go sees it: private addresses are global too.
fn is_global_unicast(address: &IpAddr) -> bool {
    let nobody = match address {
        IpAddr::V4(address) => *address == Ipv4Addr::BROADCAST || *address == Ipv4Addr::UNSPECIFIED,
        IpAddr::V6(address) => *address == Ipv6Addr::UNSPECIFIED,
    };
    !(nobody || address.is_loopback() || address.is_multicast() || is_link_local_unicast(address))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cel::library::tests::call;

    fn ip_of(text: &str) -> Value {
        call("ip", &[text.into()]).expect("an address")
    }

    /// Answers of kube-apiserver 1.36: how an address is printed, and what it is.
    #[test]
    fn addresses() {
        const NONE: &[&str] = &[];
        for (text, printed, family, is) in [
            ("127.0.0.1", "127.0.0.1", 4, &["isLoopback"][..]),
            ("127.255.255.255", "127.255.255.255", 4, &["isLoopback"]),
            ("0.0.0.0", "0.0.0.0", 4, &["isUnspecified"]),
            ("255.255.255.255", "255.255.255.255", 4, NONE),
            ("10.0.0.1", "10.0.0.1", 4, &["isGlobalUnicast"]),
            ("8.8.8.8", "8.8.8.8", 4, &["isGlobalUnicast"]),
            ("224.0.0.1", "224.0.0.1", 4, &["isLinkLocalMulticast"]),
            ("224.0.1.1", "224.0.1.1", 4, NONE),
            ("169.254.169.254", "169.254.169.254", 4, &["isLinkLocalUnicast"]),
            ("::", "::", 6, &["isUnspecified"]),
            ("0:0:0:0:0:0:0:0", "::", 6, &["isUnspecified"]),
            ("::1", "::1", 6, &["isLoopback"]),
            ("0000::1", "::1", 6, &["isLoopback"]),
            ("::1.2.3.4", "::102:304", 6, &["isGlobalUnicast"]),
            ("::ffff:0:1.2.3.4", "::ffff:0:102:304", 6, &["isGlobalUnicast"]),
            ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304", 6, &["isGlobalUnicast"]),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0", 6, &["isGlobalUnicast"]),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8", 6, &["isGlobalUnicast"]),
            ("1:0:0:2::3", "1:0:0:2::3", 6, &["isGlobalUnicast"]),
            ("2001:DB8::ABCD", "2001:db8::abcd", 6, &["isGlobalUnicast"]),
            ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1", 6, &["isGlobalUnicast"]),
            ("fd00::1", "fd00::1", 6, &["isGlobalUnicast"]),
            ("fec0::1", "fec0::1", 6, &["isGlobalUnicast"]),
            ("fe80::1", "fe80::1", 6, &["isLinkLocalUnicast"]),
            ("febf::1", "febf::1", 6, &["isLinkLocalUnicast"]),
            ("ff02::1", "ff02::1", 6, &["isLinkLocalMulticast"]),
            ("ff12::1", "ff12::1", 6, &["isLinkLocalMulticast"]),
            ("ff05::1", "ff05::1", 6, NONE),
        ] {
            let address = ip_of(text);
            let of = |function| call(function, std::slice::from_ref(&address)).expect("an answer");
            assert_eq!(of("string").as_str(), Some(printed));
            assert_eq!(of("family").as_int(), Some(family), "{text}");
            for question in
                ["isUnspecified", "isLoopback", "isLinkLocalMulticast", "isLinkLocalUnicast", "isGlobalUnicast"]
            {
                assert!(
                    matches!(of(question), Value::Bool(answer) if answer == is.contains(&question)),
                    "{text} {question}"
                );
            }
            assert!(matches!(call("isIP", &[text.into()]), Ok(Value::Bool(true))));
            let canonical = call("ip.isCanonical", &[text.into()]);
            assert!(matches!(canonical, Ok(Value::Bool(answer)) if answer == (text == printed)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            ".",
            ":",
            ":::1",
            "1.2.3",
            "1.2.3.4.5",
            "1.2..4",
            "01.2.3.4",
            "1.2.3.256",
            "1.2.3.-4",
            "1.2.3.4 ",
            " 1.2.3.4",
            "0x1.2.3.4",
            "1.2.3.4/32",
            "\u{661}.2.3.4",
            "1::2::3",
            "1:2:3:4:5:6:7",
            "1:2:3:4:5:6:7::8",
            "1:2:3:4:5:6:7:1.2.3.4",
            "1:2:3:4:5:1.2.3.4",
            "12345::",
            "00000::1",
            "::g",
            "2001:db8::1:",
            "64:ff9b::01.2.3.4",
            "::1.2.3",
            // A zone would make it mean something on one machine only.
            "fe80::1%eth0",
            "fe80::1%",
            // IPv4 in the clothes of IPv6.
            "::ffff:1.2.3.4",
            "::FFFF:102:304",
        ] {
            assert!(matches!(call("ip", &[text.into()]), Err(UNREADABLE)), "{text}");
            assert!(matches!(call("ip.isCanonical", &[text.into()]), Err(UNREADABLE)), "{text}");
            assert!(matches!(call("isIP", &[text.into()]), Ok(Value::Bool(false))), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_paid_is_no_answer() {
        let text = Value::from("1".repeat(20_000_000));
        assert!(matches!(call("isIP", &[text]), Err(EvaluationError::TooCostly)));
    }

    proptest! {
        #[test]
        fn addresses_are_equal_by_value(left: IpAddr, right: IpAddr) {
            let equal = Value::opaque(Ip(left)).equals(&Value::opaque(Ip(right)), &mut Budget::default());
            prop_assert_eq!(equal, Ok(left == right));
        }

        #[test]
        fn what_is_printed_is_canonical(bits: u128) {
            let text = Ipv6Addr::from_bits(bits).to_string();
            if let Ok(answer) = call("ip.isCanonical", &[text.into()]) {
                prop_assert!(matches!(answer, Value::Bool(true)));
            }
        }
    }
}

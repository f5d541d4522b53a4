//! Networks (Kubernetes' `net.CIDR`): an address and how many of its bits name the network.

use std::{fmt, net::IpAddr};

use super::ip::{self, IP, Ip};
use crate::cel::{Budget, EvaluationError, Opaque, Overload, Type, Value};

const CIDR: Type = Type::Opaque("net.CIDR");

const UNREADABLE: EvaluationError = EvaluationError::Unreadable("CIDR");
const WRONG_TYPE: EvaluationError = EvaluationError::NoSuchOverload("a function of CIDRs");

/// Bytes of the longest network in text.
const LONGEST: usize = 43;

pub(super) fn overloads() -> Vec<Overload> {
    vec![
        Overload::global("cidr", [Type::String], CIDR, cidr),
        Overload::global("isCIDR", [Type::String], Type::Bool, is_cidr),
        Overload::global("string", [CIDR], Type::String, string),
        Overload::member("containsIP", [CIDR, Type::String], Type::Bool, contains_ip),
        Overload::member("containsIP", [CIDR, IP], Type::Bool, contains_ip),
        Overload::member("containsCIDR", [CIDR, Type::String], Type::Bool, contains_cidr),
        Overload::member("containsCIDR", [CIDR, CIDR], Type::Bool, contains_cidr),
        Overload::member("ip", [CIDR], IP, address),
        Overload::member("masked", [CIDR], CIDR, masked),
        Overload::member("prefixLength", [CIDR], Type::Int, prefix_length),
    ]
}

/// A network. The bits of the address behind the prefix are kept: `10.0.0.1/8` is not `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    /// At most 32 or 128, by the family of the address.
    prefix: u8,
}

// === impl Cidr ===

impl Cidr {
    fn parse(text: &str, budget: &mut Budget) -> Result<Self, EvaluationError> {
        budget.scan(text.len())?;
        let (address, prefix) = text.rsplit_once('/').ok_or(UNREADABLE)?;
        let address = ip::parse(address, budget).map_err(|error| match error {
            EvaluationError::Unreadable(_) => UNREADABLE,
            unaffordable => unaffordable,
        })?;
        // No sign and no leading zero, so that a network has one text.
        if prefix.starts_with('+') || (prefix.len() > 1 && prefix.starts_with('0')) {
            return Err(UNREADABLE);
        }
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= length(&address)).ok_or(UNREADABLE)?;
        Ok(Self { address, prefix })
    }

    /// The network part of `address` under this prefix, as a number; 0 for a prefix of no bits.
    fn network_of(&self, address: &IpAddr) -> u128 {
        let bits = match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        bits.checked_shr(u32::from(length(address) - self.prefix)).unwrap_or(0)
    }

    /// Whether `address` is of this family and in this network.
    fn contains(&self, address: &IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.network_of(&self.address) == self.network_of(address)
    }

    /// The same network with nothing behind its prefix.
    fn masked(&self) -> Self {
        let behind = u32::from(length(&self.address) - self.prefix);
        let address = match self.address {
            IpAddr::V4(address) => IpAddr::V4((address.to_bits() & u32::MAX.checked_shl(behind).unwrap_or(0)).into()),
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & u128::MAX.checked_shl(behind).unwrap_or(0)).into()),
        };
        Self { address, ..*self }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Opaque for Cidr {
    fn type_name(&self) -> &'static str {
        "net.CIDR"
    }

    fn equals(&self, other: &dyn Opaque) -> bool {
        other.downcast::<Self>() == Some(self)
    }
}

/// How many bits an address has.
const fn length(address: &IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

// === the functions ===

fn cidr(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    value(Cidr::parse(text, budget)?, budget)
}

fn is_cidr(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    let [Value::String(text)] = values else { return Err(WRONG_TYPE) };
    match Cidr::parse(text, budget) {
        Ok(_) => Ok(true.into()),
        Err(UNREADABLE) => Ok(false.into()),
        Err(unaffordable) => Err(unaffordable),
    }
}

fn string(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build(LONGEST)?;
    Ok(network(values)?.to_string().into())
}

fn contains_ip(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let address = match values.get(1) {
        Some(Value::String(text)) => ip::parse(text, budget)?,
        Some(value) => value.as_opaque::<Ip>().ok_or(WRONG_TYPE)?.0,
        None => return Err(WRONG_TYPE),
    };
    Ok(network(values)?.contains(&address).into())
}

fn contains_cidr(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    let inner = match values.get(1) {
        Some(Value::String(text)) => Cidr::parse(text, budget)?,
        Some(value) => *value.as_opaque::<Cidr>().ok_or(WRONG_TYPE)?,
        None => return Err(WRONG_TYPE),
    };
    let outer = network(values)?;
    Ok((outer.prefix <= inner.prefix && outer.contains(&inner.address)).into())
}

fn address(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build(size_of::<Ip>())?;
    Ok(Value::opaque(Ip(network(values)?.address)))
}

fn masked(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    value(network(values)?.masked(), budget)
}

fn prefix_length(values: &[Value], budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.spend(1)?;
    Ok(Value::Int(i64::from(network(values)?.prefix)))
}

fn network(values: &[Value]) -> Result<&Cidr, EvaluationError> {
    values.first().and_then(Value::as_opaque).ok_or(WRONG_TYPE)
}

fn value(cidr: Cidr, budget: &mut Budget) -> Result<Value, EvaluationError> {
    budget.build(size_of::<Cidr>())?;
    Ok(Value::opaque(cidr))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cel::library::tests::call;

    fn network_of(text: &str) -> Value {
        call("cidr", &[text.into()]).expect("a network")
    }

    /// Answers of kube-apiserver 1.36: how a network is printed, how it is masked, its address and its length.
    #[test]
    fn networks() {
        for (text, printed, masked, ip, length) in [
            ("192.168.0.0/16", "192.168.0.0/16", "192.168.0.0/16", "192.168.0.0", 16),
            ("192.168.0.1/16", "192.168.0.1/16", "192.168.0.0/16", "192.168.0.1", 16),
            ("255.255.255.255/31", "255.255.255.255/31", "255.255.255.254/31", "255.255.255.255", 31),
            ("1.2.3.4/32", "1.2.3.4/32", "1.2.3.4/32", "1.2.3.4", 32),
            ("10.0.0.0/0", "10.0.0.0/0", "0.0.0.0/0", "10.0.0.0", 0),
            ("::1/128", "::1/128", "::1/128", "::1", 128),
            ("::/0", "::/0", "::/0", "::", 0),
            ("2001:DB8::1/32", "2001:db8::1/32", "2001:db8::/32", "2001:db8::1", 32),
            ("2001:db8:ffff::/33", "2001:db8:ffff::/33", "2001:db8:8000::/33", "2001:db8:ffff::", 33),
        ] {
            let network = network_of(text);
            let of = |function, value: &Value| call(function, std::slice::from_ref(value)).expect("an answer");
            assert_eq!(of("string", &network).as_str(), Some(printed));
            assert_eq!(of("string", &of("masked", &network)).as_str(), Some(masked));
            assert_eq!(of("string", &of("ip", &network)).as_str(), Some(ip));
            assert_eq!(of("prefixLength", &network).as_int(), Some(length));
            assert!(matches!(call("isCIDR", &[text.into()]), Ok(Value::Bool(true))));
            let same = network.equals(&of("masked", &network), &mut Budget::default());
            assert_eq!(same, Ok(printed == masked), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.0/",
            "/8",
            "192.168.0.0/33",
            "::1/129",
            "10.0.0.0/00",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/-0",
            "10.0.0.0/ 8",
            "10.0.0.0/8 ",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "10.0.0.0/256",
            "10.0.0.0/999999999999999999999",
            "10.0.0.0/\u{668}",
            "::ffff:1.2.3.4/96",
            "fe80::1%eth0/64",
        ] {
            assert!(matches!(call("cidr", &[text.into()]), Err(UNREADABLE)), "{text}");
            assert!(matches!(call("isCIDR", &[text.into()]), Ok(Value::Bool(false))), "{text}");
        }
    }

    /// Answers of kube-apiserver 1.36, the same for an address and for its text.
    #[test]
    fn addresses_inside() {
        for (network, address, inside) in [
            ("192.168.0.0/24", "192.168.0.1", true),
            ("192.168.0.0/24", "192.168.1.1", false),
            ("192.168.0.77/24", "192.168.0.1", true),
            ("1.2.3.4/32", "1.2.3.4", true),
            ("1.2.3.4/32", "1.2.3.5", false),
            ("0.0.0.0/0", "255.1.2.3", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "ffff::", true),
            ("::/0", "1.2.3.4", false),
            ("2001:db8::/33", "2001:db8:7fff::", true),
            ("2001:db8::/33", "2001:db8:8000::", false),
        ] {
            let network = network_of(network);
            for address in [address.into(), call("ip", &[address.into()]).expect("an address")] {
                let answer = call("containsIP", &[network.clone(), address]);
                assert!(matches!(answer, Ok(Value::Bool(answer)) if answer == inside), "{network:?}");
            }
        }
        for text in ["bad", "::ffff:10.0.0.1", "10.0.0.1/32"] {
            let answer = call("containsIP", &[network_of("10.0.0.0/8"), text.into()]);
            assert!(matches!(answer, Err(EvaluationError::Unreadable("IP address"))));
        }
    }

    /// Answers of kube-apiserver 1.36, the same for a network and for its text.
    #[test]
    fn networks_inside() {
        for (outer, inner, inside) in [
            ("192.168.0.0/16", "192.168.10.0/24", true),
            ("192.168.0.0/16", "192.168.0.0/16", true),
            ("192.168.3.4/16", "192.168.77.1/16", true),
            ("192.168.0.0/24", "192.168.0.0/16", false),
            ("192.168.1.0/24", "192.168.2.0/24", false),
            ("0.0.0.0/0", "10.0.0.0/8", true),
            ("::/0", "10.0.0.0/8", false),
            ("0.0.0.0/0", "::/0", false),
            ("2001:db8::/32", "2001:db8:1::/48", true),
        ] {
            for inner in [inner.into(), network_of(inner)] {
                let answer = call("containsCIDR", &[network_of(outer), inner]);
                assert!(matches!(answer, Ok(Value::Bool(answer)) if answer == inside), "{outer}");
            }
        }
        let answer = call("containsCIDR", &[network_of("10.0.0.0/8"), "10.0.0.1".into()]);
        assert!(matches!(answer, Err(UNREADABLE)));
    }

    fn any() -> impl Strategy<Value = Cidr> {
        (any_address(), 0..=128_u8).prop_map(|(address, prefix)| Cidr { address, prefix: prefix.min(length(&address)) })
    }

    /// No IPv4 in the clothes of IPv6.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        proptest::arbitrary::any::<IpAddr>().prop_filter(
            "mapped",
            |address| !matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()),
        )
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(network in any()) {
            prop_assert_eq!(Cidr::parse(&network.to_string(), &mut Budget::default()), Ok(network));
        }

        #[test]
        fn masking_keeps_what_is_inside(network in any(), address in any_address()) {
            let masked = network.masked();
            prop_assert_eq!(masked, masked.masked());
            prop_assert!(network.contains(&masked.address));
            prop_assert_eq!(masked.contains(&address), network.contains(&address));
        }

        /// A network contains just those whose addresses it contains.
        #[test]
        fn a_network_is_its_addresses(address in any_address(), outer in 0..=32_u8, inner in 0..=32_u8) {
            let [outer, inner] = [outer, inner].map(|prefix| Cidr { address, prefix });
            prop_assert_eq!(outer.prefix <= inner.prefix && outer.contains(&inner.address), outer.prefix <= inner.prefix);
        }
    }
}

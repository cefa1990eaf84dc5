//! Networks.

use std::net::IpAddr;
use std::str::FromStr;

/// An address, or a block of them: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

impl IpNet {
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.address.is_ipv4() != address.is_ipv4() {
            return false;
        }
        let differing = bits(self.address).0 ^ bits(address).0;
        self.prefix == 0 || differing >> (128 - u32::from(self.prefix)) == 0
    }
}

impl FromStr for IpNet {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str =
            "a network is an address, or an address and a prefix length, as in 10.0.0.0/8";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| WRONG)?;
        let (value, width) = bits(address);
        let prefix = match prefix {
            Some(prefix) if prefix.bytes().all(|b| b.is_ascii_digit()) => {
                prefix.parse::<u8>().map_err(|_| WRONG)?
            }
            Some(_) => return Err(WRONG),
            None => width,
        };
        if prefix > width {
            return Err("the prefix is longer than the address");
        }
        let rest = if prefix == 0 {
            value
        } else {
            value << prefix.min(127)
        };
        if prefix < width && rest != 0 {
            return Err("the address has bits behind its prefix");
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses_alone() {
        let check = |net: &str, address: &str, expect: bool| {
            let net: IpNet = net.parse().unwrap();
            assert_eq!(
                net.contains(address.parse().unwrap()),
                expect,
                "{net:?} {address}"
            );
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.0", false);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("0.0.0.0/0", "::1", false);
        check("::1", "::1", true);
        check("fd00::/8", "fd12::1", true);
        check("127.0.0.1", "127.0.0.2", false);
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "x",
            "::/129",
        ] {
            assert!(bad.parse::<IpNet>().is_err(), "{bad}");
        }
    }
}

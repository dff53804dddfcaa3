//! Which addresses the configuration may send requests to.
//!
//! The functions have credentials and sit where machines are handed theirs, so an
//! endpoint is a way to make them ask, or tell, the wrong party. It has to be `https`,
//! of a host that is expected, and on the public Internet. A local cloud has none of
//! that and is allowed by a setting of its own; where credentials are handed out, and
//! the port that feeds a function its events, stay forbidden even then.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Where AWS serves its own services.
const AWS_HOSTS: [&str; 3] = ["amazonaws.com", "amazonaws.com.cn", "api.aws"];

/// The port on loopback at which Lambda hands a function its events (`AWS_LAMBDA_RUNTIME_API`).
const RUNTIME_PORT: u16 = 9001;

/// What serves at an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// A service of AWS.
    Service,
    /// A region's own API, at AWS's name for it or at a domain of one's own.
    Api,
}

/// What endpoints are allowed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Whether plain `http`, any host and private addresses are allowed, as a local cloud needs.
    pub allow_local: bool,
    /// The only hosts allowed, with all that lie below them; `None`: AWS's own for its
    /// services, and any public name for an API.
    pub hosts: Option<Vec<String>>,
}

/// Why an endpoint is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No URL of a host, or one with user, query or fragment.
    Unreadable,
    /// Not `https`.
    Plain,
    /// An address at which machines are handed credentials or a function its events, or
    /// one that is no single host's.
    Forbidden,
    /// An address that is not on the public Internet.
    Private,
    /// A host that is not among those allowed.
    Stranger,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "want a URL of a host with a scheme, without user, query or fragment",
            Self::Plain => "want `https://`; plain `http` needs `security.allow_local_endpoints`",
            Self::Forbidden => {
                "no endpoint may be there: machines get credentials or events at such an address, \
                 or it is no single host's"
            }
            Self::Private => "it is no public address; a local one needs `security.allow_local_endpoints`",
            Self::Stranger => {
                "the host is not among those allowed, name it or its domain in `security.endpoint_hosts`"
            }
        })
    }
}

impl Policy {
    /// Whether requests may go to `url`.
    ///
    /// ```
    /// use sealane::endpoint::{Policy, Refusal, Served};
    ///
    /// let policy = Policy::default();
    /// assert!(policy.check("https://s3.eu-west-1.amazonaws.com", Served::Service).is_ok());
    /// assert_eq!(policy.check("https://169.254.169.254/", Served::Api), Err(Refusal::Forbidden));
    /// assert_eq!(policy.check("https://0x7f.1/", Served::Api), Err(Refusal::Unreadable));
    /// ```
    ///
    /// # Errors
    /// With the first rule that `url` breaks.
    pub fn check(&self, url: &str, served: Served) -> Result<(), Refusal> {
        let (is_https, host, port) = parts(url).ok_or(Refusal::Unreadable)?;
        let address = address(&host)?;
        let is_loopback = host == "localhost" || address.is_some_and(|ip| canonical(ip).is_loopback());
        if address.is_some_and(is_forbidden) || is_loopback && port == Some(RUNTIME_PORT) {
            return Err(Refusal::Forbidden);
        }
        if !self.allow_local {
            if !is_https {
                return Err(Refusal::Plain);
            }
            if is_loopback || address.is_some_and(|ip| !is_public(ip)) {
                return Err(Refusal::Private);
            }
        }
        if self.is_expected(&host, address.is_some(), served) { Ok(()) } else { Err(Refusal::Stranger) }
    }

    /// Whether a connection may be made to `ip`, which a host's name stands for.
    pub fn admits(&self, ip: IpAddr) -> bool {
        !is_forbidden(ip) && (self.allow_local || is_public(ip))
    }

    fn is_expected(&self, host: &str, is_address: bool, served: Served) -> bool {
        match (&self.hosts, served) {
            (Some(hosts), _) => hosts.iter().any(|allowed| is_below(host, allowed)),
            (None, _) if self.allow_local => true,
            (None, Served::Service) => AWS_HOSTS.iter().any(|allowed| is_below(host, allowed)),
            (None, Served::Api) => !is_address && host.contains('.'),
        }
    }
}

/// Whether `text` can name hosts: a host's name, or a domain that hosts lie below.
pub fn is_host(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok() || is_name(text)
}

fn is_below(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// Whether it is https, the host in lower case without brackets, and the port.
fn parts(url: &str) -> Option<(bool, String, Option<u16>)> {
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '@' | '?' | '#' | '\\' | '"' | '%');
    if url.contains(odd) {
        return None;
    }
    let secure = url.strip_prefix("https://");
    let rest = secure.or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let port = match port.strip_prefix(':') {
        Some(port) => Some(port.parse().ok()?),
        None if port.is_empty() => None,
        None => return None,
    };
    let host = host.to_ascii_lowercase();
    let bracketed = authority.starts_with('[');
    let is_right = if bracketed { host.parse::<Ipv6Addr>().is_ok() } else { !host.contains(':') };
    (is_right && !host.is_empty()).then_some((secure.is_some(), host, port))
}

/// The address that `host` is, `None` for a name. Resolvers also take `127.1`, `0x7f.1`
/// and `2130706433` for one; no name ends in a number, so such a host is refused unread.
fn address(host: &str) -> Result<Option<IpAddr>, Refusal> {
    if let Ok(ip) = host.parse() {
        return Ok(Some(ip));
    }
    if is_name(host) { Ok(None) } else { Err(Refusal::Unreadable) }
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|b| b.is_ascii_digit()) || last.starts_with("0x");
    host.len() <= 253 && host.split('.').all(is_label) && !is_number
}

/// An IPv4 address in the clothes of IPv6 is that IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let words = v6.segments();
    let low = Ipv4Addr::from_bits(u32::from(words[6]) << 16 | u32::from(words[7]));
    match words[..6] {
        // Mapped, and translated by NAT64.
        [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0] => IpAddr::V4(low),
        // Compatible; `::` and `::1` are IPv6's own.
        [0, 0, 0, 0, 0, 0] if low.to_bits() > 1 => IpAddr::V4(low),
        // 6to4.
        [0x2002, high, mid, ..] => IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(mid))),
        _ => ip,
    }
}

/// Where nothing of ours is ever to be asked: link-local addresses and those of AWS's
/// metadata, which hand out credentials, and what is no single host.
fn is_forbidden(ip: IpAddr) -> bool {
    match canonical(ip) {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => {
            v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || v6.segments()[..2] == [0xfd00, 0x0ec2]
        }
    }
}

/// Whether it is an address of the public Internet.
fn is_public(ip: IpAddr) -> bool {
    if is_forbidden(ip) {
        return false;
    }
    match canonical(ip) {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            let assigned = (a, b, c) == (192, 0, 0);
            let special = shared || benchmark || assigned || a >= 240;
            !(v4.is_private() || v4.is_loopback() || v4.is_documentation() || special)
        }
        // Global unicast, without the block for documentation.
        IpAddr::V6(v6) => {
            let words = v6.segments();
            words[0] & 0xe000 == 0x2000 && words[..2] != [0x2001, 0x0db8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn local() -> Policy {
        Policy { allow_local: true, hosts: None }
    }

    #[test]
    fn aws_and_a_domain_of_ones_own_are_allowed() {
        let policy = Policy::default();
        for url in ["https://dynamodb.us-west-2.amazonaws.com", "https://s3.cn-north-1.amazonaws.com.cn:443/"]
        {
            assert_eq!(policy.check(url, Served::Service), Ok(()), "{url}");
        }
        for url in ["https://a1b2.execute-api.us-west-2.amazonaws.com/live", "https://sealane.example.com"] {
            assert_eq!(policy.check(url, Served::Api), Ok(()), "{url}");
        }
        assert_eq!(policy.check("https://s3.example.com", Served::Service), Err(Refusal::Stranger));
        assert_eq!(policy.check("https://notamazonaws.com", Served::Service), Err(Refusal::Stranger));
        assert_eq!(policy.check("https://203.0.114.9", Served::Api), Err(Refusal::Stranger), "no name");
    }

    #[test]
    fn listed_hosts_are_the_only_ones() {
        let policy = Policy { allow_local: false, hosts: Some(vec!["example.com".to_owned()]) };
        assert_eq!(policy.check("https://s3.example.com", Served::Service), Ok(()));
        assert_eq!(policy.check("https://badexample.com", Served::Api), Err(Refusal::Stranger));
        assert_eq!(
            policy.check("https://s3.us-east-1.amazonaws.com", Served::Service),
            Err(Refusal::Stranger)
        );
    }

    #[test]
    fn no_notation_of_an_address_slips_through() {
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "[::1]",
            "[fc00::1]",
            "localhost",
            "[::ffff:10.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::a00:1]",
            "[2002:a00:1::]",
            "[::10.0.0.1]",
        ] {
            for served in [Served::Service, Served::Api] {
                let refused = Policy::default().check(&format!("https://{host}/"), served);
                assert_eq!(refused, Err(Refusal::Private), "{host}");
            }
        }
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "127.1",
            "0177.0.0.1",
            "127.0.0.1.",
            "a.0x1",
            "[::1",
            "a..b",
        ] {
            let url = format!("https://{host}/");
            assert_eq!(Policy::default().check(&url, Served::Api), Err(Refusal::Unreadable), "{host}");
            assert_eq!(local().check(&url, Served::Api), Err(Refusal::Unreadable), "{host}");
        }
    }

    #[test]
    fn credentials_and_events_are_out_of_reach_of_a_local_cloud_too() {
        for host in [
            "169.254.169.254",
            "169.254.170.2",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "0.0.0.0",
            "[::]",
            "224.0.0.1",
            "[ff02::1]",
            "255.255.255.255",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "127.0.0.1:9001",
            "localhost:9001",
            "[::1]:9001",
            "[::ffff:127.0.0.1]:9001",
        ] {
            for policy in [Policy::default(), local()] {
                let url = format!("http://{host}/latest");
                assert_eq!(policy.check(&url, Served::Api), Err(Refusal::Forbidden), "{host}");
            }
        }
    }

    #[test]
    fn a_local_cloud_is_reached_by_a_setting_of_its_own() {
        for url in ["http://127.0.0.1:4566", "https://[::1]:8443/stage", "https://dynamodb.us-west-2.sim"] {
            assert_eq!(local().check(url, Served::Service), Ok(()), "{url}");
        }
        assert_eq!(
            Policy::default().check("http://s3.us-east-1.amazonaws.com", Served::Service),
            Err(Refusal::Plain)
        );
    }

    #[test]
    fn what_is_more_than_a_host_is_refused() {
        for url in [
            "s3.example.com",
            "ftp://example.com",
            "https://",
            "https://user:word@example.com",
            "https://example.com?a",
            "https://example.com#a",
            "https://exa mple.com",
            "https://example.com:99999",
            "https://ex%61mple.com",
            "https://b\u{fc}cher.example",
            "https:\\\\example.com",
            "https://[example.com]",
        ] {
            assert_eq!(local().check(url, Served::Api), Err(Refusal::Unreadable), "{url}");
        }
    }

    proptest! {
        /// What a name may stand for at connect time is judged as the address itself would be.
        #[test]
        fn an_address_is_judged_alike_in_either_family(bits: u32) {
            let v4 = Ipv4Addr::from_bits(bits);
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            for policy in [Policy::default(), local()] {
                prop_assert_eq!(policy.admits(IpAddr::V4(v4)), policy.admits(mapped));
            }
            prop_assert!(!Policy::default().admits(IpAddr::V4(v4)) || !v4.is_private() && !v4.is_loopback());
        }

        /// No text makes the check panic, and none is allowed that is not https of a name.
        #[test]
        fn odd_text_is_refused(text in "\\PC{0,60}") {
            if Policy::default().check(&text, Served::Api).is_ok() {
                prop_assert!(text.starts_with("https://"));
            }
        }
    }
}

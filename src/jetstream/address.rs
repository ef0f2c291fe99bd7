//! Addresses of servers, and which connections need TLS.

use std::net::IpAddr;

use url::Url;

/// Whether a server is on this machine.
fn is_loopback(server: &Url) -> bool {
    let host = server.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Whether connections must use TLS: one of the servers is on another machine, or its scheme is `tls`.
pub(super) fn requires_tls(servers: &[Url]) -> bool {
    let requires = |server: &Url| server.scheme() == "tls" || !is_loopback(server);
    servers.iter().any(requires)
}

/// The addresses for the client library. Without TLS, `localhost` becomes the loopback addresses, so that no
/// resolver can name another machine.
pub(super) fn connect_addresses(servers: &[Url]) -> Vec<String> {
    let by_name = requires_tls(servers);
    let mut addresses = Vec::new();
    for server in servers {
        if server.host_str() == Some("localhost") && !by_name {
            let port = server.port().unwrap_or(4222);
            addresses.push(format!("nats://127.0.0.1:{port}"));
            addresses.push(format!("nats://[::1]:{port}"));
        } else {
            addresses.push(server.to_string());
        }
    }
    addresses
}

/// The addresses as text for people.
pub(super) fn join_addresses(servers: &[Url]) -> String {
    let each: Vec<&str> = servers.iter().map(Url::as_str).collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(texts: &[&str]) -> Vec<Url> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_loopback_addresses_connect_without_tls() {
        for (texts, requires) in [
            (&["nats://127.0.0.1:4222"][..], false),
            (&["nats://127.8.9.1"], false),
            (&["nats://[::1]:4222"], false),
            (&["nats://localhost"], false),
            (&["tls://localhost"], true),
            (&["nats://10.0.0.1:4222"], true),
            (&["nats://localhost.example"], true),
            (&["nats://127.0.0.1:4222", "nats://nats.example"], true),
        ] {
            assert_eq!(requires_tls(&servers(texts)), requires, "{texts:?}");
        }
    }

    #[test]
    fn localhost_becomes_the_loopback_addresses() {
        let addresses = connect_addresses(&servers(&["nats://localhost:4333"]));
        assert_eq!(addresses, ["nats://127.0.0.1:4333", "nats://[::1]:4333"]);
        assert_eq!(
            connect_addresses(&servers(&["tls://localhost:4333"])),
            ["tls://localhost:4333"]
        );
    }
}

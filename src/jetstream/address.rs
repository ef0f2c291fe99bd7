//! Addresses of servers, and which of them may be spoken to without TLS.

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

/// Whether the servers are spoken to by TLS only: one of them is on another machine, or asks for it.
pub(super) fn needs_tls(servers: &[Url]) -> bool {
    let needs = |server: &Url| server.scheme() == "tls" || !is_loopback(server);
    servers.iter().any(needs)
}

/// The addresses to connect to. Without TLS, `localhost` is this machine whatever a resolver says.
pub(super) fn to_connect(servers: &[Url]) -> Vec<String> {
    let by_name = needs_tls(servers);
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

/// The servers, for people.
pub(super) fn shown(servers: &[Url]) -> String {
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
    fn only_this_machine_is_spoken_to_without_tls() {
        for (texts, needs) in [
            (&["nats://127.0.0.1:4222"][..], false),
            (&["nats://127.8.9.1"], false),
            (&["nats://[::1]:4222"], false),
            (&["nats://localhost"], false),
            (&["tls://localhost"], true),
            (&["nats://10.0.0.1:4222"], true),
            (&["nats://localhost.example"], true),
            (&["nats://127.0.0.1:4222", "nats://nats.example"], true),
        ] {
            assert_eq!(needs_tls(&servers(texts)), needs, "{texts:?}");
        }
    }

    #[test]
    fn localhost_is_this_machine_whatever_a_resolver_says() {
        let addresses = to_connect(&servers(&["nats://localhost:4333"]));
        assert_eq!(addresses, ["nats://127.0.0.1:4333", "nats://[::1]:4333"]);
        assert_eq!(
            to_connect(&servers(&["tls://localhost:4333"])),
            ["tls://localhost:4333"]
        );
    }
}

//! An operator of a NATS system with an account and users, as the tool `nsc` makes them.

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// Subjects that a user may publish to and subscribe to.
#[derive(Clone, Copy)]
pub struct Rights {
    publish: &'static [&'static str],
    subscribe: &'static [&'static str],
}

/// The rights that docs/nats.md lists.
pub const PUBLISHER: Rights = Rights {
    publish: &[
        "payments.>",
        "$JS.API.STREAM.INFO.PAYMENTS",
        "$JS.API.STREAM.MSG.GET.PAYMENTS",
        "$JS.API.STREAM.NAMES",
    ],
    subscribe: &["_INBOX.>"],
};

pub struct NatsOperator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

/// A user of the account: its JWT and its key.
pub struct NatsUser {
    jwt: String,
    seed: String,
}

impl NatsOperator {
    pub fn new() -> Self {
        Self {
            operator: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// Lines of the configuration of a server that trusts this operator alone.
    pub fn server_lines(&self) -> String {
        let operator = json!({"type": "operator", "version": 2});
        let operator = sign(&self.operator, &self.operator, &operator);
        let (system, account) = (self.system.public_key(), self.account.public_key());
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload: {{\n{system}: {}\n{account}: {}\n}}\n",
            self.account_jwt(&self.system, 0),
            self.account_jwt(&self.account, -1),
        )
    }

    /// `storage` is the limit of bytes in streams: 0 without JetStream, -1 without a limit.
    fn account_jwt(&self, account: &KeyPair, storage: i64) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1,
            "mem_storage": storage, "disk_storage": storage, "streams": -1, "consumer": -1,
        });
        let claims = json!({"type": "account", "version": 2, "limits": limits});
        sign(&self.operator, account, &claims)
    }

    /// A user of the account; None = all rights.
    pub fn add_user(&self, rights: Option<Rights>) -> NatsUser {
        let user = KeyPair::new_user();
        let allow = |subjects: Option<&[&str]>| {
            subjects.map_or(json!({}), |subjects| json!({"allow": subjects}))
        };
        let claims = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": allow(rights.map(|rights| rights.publish)),
            "sub": allow(rights.map(|rights| rights.subscribe)),
        });
        NatsUser {
            jwt: sign(&self.account, &user, &claims),
            seed: user.seed().unwrap(),
        }
    }
}

impl NatsUser {
    /// The content of a `.creds` file.
    pub fn to_file(&self) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            self.jwt, self.seed
        )
    }

    pub fn secrets(&self) -> Vec<String> {
        vec![self.jwt.clone(), self.seed.clone()]
    }
}

/// A JWT about `subject`.
fn sign(issuer: &KeyPair, subject: &KeyPair, claims: &Value) -> String {
    let claims = json!({
        "jti": subject.public_key(), "iat": 1_700_000_000, "iss": issuer.public_key(),
        "name": "test", "sub": subject.public_key(), "nats": claims,
    });
    let header = json!({"typ": "JWT", "alg": "ed25519-nkey"});
    let encode = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

//! A bad connection to the provider: data as late as after a packet loss, connections that are cut
//! or stay silent, answers that arrive slowly.

use std::time::Duration;

use payrecond::sandbox::SimulatedPayment;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use super::kill::{all_delivered, request};
use super::laws;
use super::program::Program;
use crate::shop::Shop;

const INVOICES: usize = 20;
/// One of five packets is lost, and sent again after Linux' retransmission delay.
const LOST_PERCENT: u8 = 20;
const SENT_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// Percentage of connections that suffer each of the other faults.
const EACH_PERCENT: u8 = 8;

/// The fault of a connection.
#[derive(Clone, Copy)]
enum Fate {
    Lossy,
    SilentAfterConnect,
    /// Cut after this many bytes of answers.
    Cut(usize),
    OneByteAtATime,
}

fn fate(rng: &mut fastrand::Rng) -> Fate {
    match rng.u8(..100) / EACH_PERCENT {
        0 => Fate::SilentAfterConnect,
        1 => Fate::Cut(rng.usize(..400)),
        2 => Fate::OneByteAtATime,
        _ => Fate::Lossy,
    }
}

/// A bad connection to `provider`. Returns the address of its near end.
async fn bad_line(provider: &str, seed: u64) -> String {
    let provider = provider.trim_start_matches("http://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut rng = fastrand::Rng::with_seed(seed);
        while let Ok((stream, _)) = listener.accept().await {
            let fate = fate(&mut rng);
            let far = TcpStream::connect(&provider).await.unwrap();
            tokio::spawn(connection(stream, far, fate, rng.fork()));
        }
    });
    near
}

async fn connection(near: TcpStream, far: TcpStream, fate: Fate, mut rng: fastrand::Rng) {
    let ((mut near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    if matches!(fate, Fate::SilentAfterConnect) {
        // Requests are accepted but never answered.
        let _ = tokio::io::copy(&mut near_in, &mut tokio::io::sink()).await;
        return;
    }
    let asking = carry(near_in, far_out, Fate::Lossy, rng.fork());
    tokio::select! {
        () = asking => {}
        () = carry(far_in, near_out, fate, rng) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    fate: Fate,
    mut rng: fastrand::Rng,
) {
    let (mut piece, mut carried) = (vec![0; 1400], 0);
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if rng.u8(..100) < LOST_PERCENT {
            tokio::time::sleep(SENT_AGAIN_AFTER).await;
        }
        let (whole, step) = match fate {
            Fate::Cut(after) => (length.min(after - carried), length),
            Fate::OneByteAtATime => (length, 1),
            Fate::Lossy | Fate::SilentAfterConnect => (length, length),
        };
        for bytes in piece[..whole].chunks(step) {
            if step < length {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if to.write_all(bytes).await.is_err() {
                return;
            }
        }
        carried += whole;
        if whole < length {
            return;
        }
    }
}

#[tokio::test]
async fn a_bad_connection_only_causes_delays() {
    let mut shop = Shop::open().await;
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    shop.base_url = bad_line(&shop.base_url, seed).await;
    only_delays_occur(shop).await;
}

/// Also used by `packet_loss`.
pub async fn only_delays_occur(mut shop: Shop) {
    shop.settings += "[http]\nrequest_timeout = \"1s\"\n";
    for n in 0..INVOICES {
        let id = shop.drop_in(&format!("ORD-{n}")).await;
        shop.world.pay(&id, &SimulatedPayment::default()).unwrap();
        request(&shop, &format!("NEW-{n}")).await;
    }
    let program = Program::ready(&shop).await;
    let paid = "SELECT count(*) FROM invoices WHERE status = 'paid'";
    shop.until(paid, &INVOICES.to_string()).await;
    let made = "SELECT count(*) FROM invoices WHERE status = 'pending'";
    shop.until(made, &INVOICES.to_string()).await;
    all_delivered(&shop).await;
    let left = program.stop().await;
    laws::hold(&shop, &[left]).await;
    assert_eq!(shop.world.orders().len(), INVOICES * 2, "made twice");
}

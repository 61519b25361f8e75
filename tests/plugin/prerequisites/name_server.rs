//! A DNS server on the loopback that answers from a zone of a test, over UDP and TCP.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};

const TTL_SECONDS: u32 = 60;

/// The names in the DNS; no others exist.
#[derive(Default)]
pub(super) struct Zone {
    records: BTreeMap<Name, Vec<RData>>,
    tops: BTreeSet<Name>,
    codes: BTreeMap<Name, ResponseCode>,
    silent: BTreeSet<Name>,
    only_over_tcp: bool,
}

impl Zone {
    pub(super) fn cname(self, of: &str, target: &str) -> Self {
        self.record(of, RData::CNAME(CNAME(name(target))))
    }

    pub(super) fn address(self, of: &str, address: &str) -> Self {
        let data = match address.parse().expect("an address") {
            IpAddr::V4(address) => RData::A(A(address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(address)),
        };
        self.record(of, data)
    }

    /// A name that exists without a record that is ever asked for.
    pub(super) fn empty(mut self, of: &str) -> Self {
        self.records.entry(name(of)).or_default();
        self
    }

    /// The name is the top of a zone of its own.
    pub(super) fn top(mut self, of: &str) -> Self {
        self.tops.insert(name(of));
        self
    }

    pub(super) fn failing(self, of: &str) -> Self {
        self.code(of, ResponseCode::ServFail)
    }

    pub(super) fn refusing(self, of: &str) -> Self {
        self.code(of, ResponseCode::Refused)
    }

    /// Questions for the name are never answered.
    pub(super) fn silent(mut self, of: &str) -> Self {
        self.silent.insert(name(of));
        self
    }

    /// Answers over UDP are cut off.
    pub(super) fn only_over_tcp(mut self) -> Self {
        self.only_over_tcp = true;
        self
    }

    fn record(mut self, of: &str, data: RData) -> Self {
        self.records.entry(name(of)).or_default().push(data);
        self
    }

    fn code(mut self, of: &str, code: ResponseCode) -> Self {
        self.codes.insert(name(of), code);
        self
    }

    /// The answer to a question; `None` when it is not answered.
    fn answer(&self, question: &[u8], over_udp: bool) -> Option<Vec<u8>> {
        let question = Message::from_vec(question).expect("a DNS message");
        let query = question.queries.first().expect("a question").clone();
        let asked = query.name();
        if self.silent.contains(asked) {
            return None;
        }
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.metadata.recursion_desired = question.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.truncation = self.only_over_tcp && over_udp;
        answer.add_query(query.clone());
        if let Some(code) = self.codes.get(asked) {
            answer.metadata.response_code = *code;
        } else if !answer.metadata.truncation {
            self.add_records(&mut answer, asked, query.query_type());
        }
        Some(answer.to_vec().expect("an answer"))
    }

    fn add_records(&self, answer: &mut Message, asked: &Name, kind: RecordType) {
        let known = self.records.get(asked);
        let records = known
            .into_iter()
            .flatten()
            .filter(|data| data.record_type() == kind);
        answer.add_answers(records.map(|data| Record::from_rdata(asked.clone(), TTL_SECONDS, data.clone())));
        if known.is_none() {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        if answer.answers.is_empty() {
            // The zone says "no" by its SOA record.
            let top = if self.tops.contains(asked) {
                asked.clone()
            } else {
                asked.base_name()
            };
            let times = i32::try_from(TTL_SECONDS).expect("a short time");
            let soa = SOA::new(top.clone(), top.clone(), 1, times, times, times, TTL_SECONDS);
            answer.add_authority(Record::from_rdata(top, TTL_SECONDS, RData::SOA(soa)));
        }
    }
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).expect("a name");
    name.set_fqdn(true);
    name
}

/// The server; it stops when it is dropped.
pub(super) struct NameServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    zone: Zone,
    stopped: AtomicBool,
    questions: AtomicUsize,
}

impl NameServer {
    pub(super) fn start(zone: Zone) -> Self {
        Self::on(sockets(), zone)
    }

    /// Starts a server on sockets of one address.
    pub(super) fn on((udp, tcp): (UdpSocket, TcpListener), zone: Zone) -> Self {
        let address = udp.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            zone,
            stopped: AtomicBool::new(false),
            questions: AtomicUsize::new(0),
        });
        let (of_udp, of_tcp) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || of_udp.serve_udp(&udp)),
            std::thread::spawn(move || of_tcp.serve_tcp(&tcp)),
        ];
        Self {
            address,
            shared,
            threads,
        }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions have come.
    pub(super) fn questions(&self) -> usize {
        self.shared.questions.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // A thread sees that the server has stopped once a message or a connection wakes it.
        if let Ok(socket) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) {
            let _ = socket.send_to(&[], self.address);
        }
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
        }
    }
}

/// Sockets with one port for both: the system gives a free one for UDP, which another program may have for TCP.
fn sockets() -> (UdpSocket, TcpListener) {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        match TcpListener::bind(udp.local_addr().expect("its address")) {
            Ok(tcp) => return (udp, tcp),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddrInUse, "{error}"),
        }
    }
}

impl Shared {
    fn answer(&self, question: &[u8], over_udp: bool) -> Option<Vec<u8>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.zone.answer(question, over_udp)
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).expect("a question");
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            if let Some(answer) = self.answer(&buffer[..length], true) {
                socket.send_to(&answer, client).expect("the answer is sent");
            }
        }
    }

    /// Serves one connection after the other; each message has its length before it (RFC 1035 section 4.2.2).
    fn serve_tcp(&self, listener: &TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().expect("a connection");
            if self.stopped.load(Ordering::SeqCst) {
                return;
            }
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut question = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut question).expect("a question");
                if let Some(answer) = self.answer(&question, false) {
                    let length = u16::try_from(answer.len()).expect("a short answer");
                    let message = [&length.to_be_bytes()[..], &answer].concat();
                    stream.write_all(&message).expect("the answer is sent");
                }
            }
        }
    }
}

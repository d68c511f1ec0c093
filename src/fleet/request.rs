//! A request in flight.

use crate::engine::SimTime;
use crate::workload::Offered;

use super::ids::{NONE, ReplicaId};
use super::prefix::Prefix;
use super::slab::Slab;

/// How a request ended, or one try of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every token was delivered.
    Completed,
    /// The gateway's rate limit turned it away.
    RejectedRateLimit,
    /// The replica's bounded queue was full.
    RejectedQueueFull,
    /// Prompt and output do not fit the KV cache or `max_model_len`.
    RejectedTooLong,
    /// Its client would wait no longer, and counts that as a failure.
    TimedOut,
    /// Its client has left, or needs it no more.
    Cancelled,
    /// Its replica died with it, or was dead when it came.
    FailedReplica,
    /// No replica could be chosen for it.
    FailedNoReplica,
    /// Its gateway died with it, or was dead when it came.
    FailedGateway,
    /// What it was sent to could not be reached.
    FailedNetwork,
    /// Its client found no region to send it to.
    FailedDns,
    /// A bad deployment failed it.
    FailedDeploy,
    /// As many requests as allowed were under way at its gateway.
    ShedLimit,
    /// The replicas were loaded, or failed too often, for one of its kind.
    ShedLoad,
    /// It waited too long at its gateway.
    ShedDelay,
    /// The waiting room of its gateway was full.
    ShedFull,
    /// Its tenant or tier had used up its quota.
    RejectedQuota,
    /// Its gateway would wait no longer for its replica.
    FailedTimeout,
}

/// The six ways in which a request can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered in full.
    Completed,
    /// Turned away by a limit that it was beyond.
    Rejected,
    /// Dropped to protect the fleet.
    Shed,
    /// Given up after a time limit.
    TimedOut,
    /// Lost to a failure.
    Failed,
    /// Given up by its user.
    Cancelled,
}

impl Status {
    /// All of them, by [`Self::index`].
    pub const ALL: [Status; Self::COUNT] = [
        Status::Completed,
        Status::RejectedRateLimit,
        Status::RejectedQueueFull,
        Status::RejectedTooLong,
        Status::TimedOut,
        Status::Cancelled,
        Status::FailedReplica,
        Status::FailedNoReplica,
        Status::FailedGateway,
        Status::FailedNetwork,
        Status::FailedDns,
        Status::FailedDeploy,
        Status::ShedLimit,
        Status::ShedLoad,
        Status::ShedDelay,
        Status::ShedFull,
        Status::RejectedQuota,
        Status::FailedTimeout,
    ];

    /// The name used in request files.
    pub fn name(self) -> &'static str {
        match self {
            Status::Completed => "completed",
            Status::RejectedRateLimit => "rejected_rate_limit",
            Status::RejectedQueueFull => "rejected_queue_full",
            Status::RejectedTooLong => "rejected_too_long",
            Status::TimedOut => "timed_out",
            Status::Cancelled => "cancelled",
            Status::FailedReplica => "failed_replica",
            Status::FailedNoReplica => "failed_no_replica",
            Status::FailedGateway => "failed_gateway",
            Status::FailedNetwork => "failed_network",
            Status::FailedDns => "failed_dns",
            Status::FailedDeploy => "failed_deploy",
            Status::ShedLimit => "shed_limit",
            Status::ShedLoad => "shed_load",
            Status::ShedDelay => "shed_delay",
            Status::ShedFull => "shed_full",
            Status::RejectedQuota => "rejected_quota",
            Status::FailedTimeout => "failed_timeout",
        }
    }

    /// Which of the six it is.
    pub fn outcome(self) -> Outcome {
        match self {
            Status::Completed => Outcome::Completed,
            Status::RejectedRateLimit
            | Status::RejectedQueueFull
            | Status::RejectedTooLong
            | Status::RejectedQuota => Outcome::Rejected,
            Status::TimedOut => Outcome::TimedOut,
            Status::Cancelled => Outcome::Cancelled,
            Status::ShedLimit | Status::ShedLoad | Status::ShedDelay | Status::ShedFull => {
                Outcome::Shed
            }
            Status::FailedReplica
            | Status::FailedNoReplica
            | Status::FailedGateway
            | Status::FailedNetwork
            | Status::FailedDns
            | Status::FailedDeploy
            | Status::FailedTimeout => Outcome::Failed,
        }
    }

    /// A small number for digests and counters.
    pub fn index(self) -> usize {
        self as usize
    }

    /// How many there are.
    pub const COUNT: usize = 18;
}

/// Everything known of one request. Stamps are [`SimTime::NEVER`] until they happen; those of the
/// engine are the engine's own, without the hop back to the gateway.
///
/// The fields are laid out by who looks at them: in a large fleet each line of 64 bytes is a miss
/// of the cache, and engines, which look most often, need the first alone.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Request {
    /// What its engine keeps about it.
    pub work: Work,
    /// Prompt (input) tokens.
    pub prompt_tokens: u32,
    /// Output tokens it will get.
    pub output_tokens: u32,
    /// The replica it was routed to.
    pub replica: ReplicaId,
    /// Next in whatever list it is on.
    pub next: u32,
    /// Previous in that list.
    pub previous: u32,
    /// Its tier's rank: lower goes first.
    pub rank: u16,
    /// The gateway replica it came to.
    pub gateway_replica: u16,
    /// First scheduled.
    pub scheduled: SimTime,
    /// First token made.
    pub first_token: SimTime,
    /// Last token made.
    pub last_token: SimTime,
    /// Serial number, from 0 in order of arrival.
    pub serial: u64,
    /// Arrival at the gateway.
    pub arrival: SimTime,
    /// Leaves the window and joins the engine's queue.
    pub queued: SimTime,
    /// The user of a closed loop, or [`NONE`].
    pub user: u32,
    /// Tier index.
    pub tier: u16,
    /// Times it was preempted.
    pub preemptions: u16,
    /// Prompt tokens found in a prefix cache when it was first scheduled.
    pub cached_tokens: u32,
    /// The replica that computed its prompt for another, or [`NONE`].
    pub prefill_replica: ReplicaId,
    /// Leaves the gateway.
    pub gateway: SimTime,
    /// Reaches its replica, and the batching window there.
    pub delivered: SimTime,
    /// Its KV has come from there.
    pub kv_arrived: SimTime,
    /// First scheduled where its KV went.
    pub resumed: SimTime,
    /// What its tokens have in common with others'.
    pub prefix: Prefix,
}

const _: () = assert!(size_of::<Request>() == 192, "three lines of the cache");

/// What an engine keeps about a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Work {
    /// Abstract engines: the service drawn for it, nanoseconds. LLM engines: iteration count at
    /// which its KV was `computed` long, once it decodes.
    pub mark: u64,
    /// LLM engines: output tokens made so far, up to the last time it was touched.
    pub generated: u32,
    /// LLM engines: prompt (and, after a preemption, regenerated) tokens in the KV cache.
    pub computed: u32,
    /// LLM engines: prompt tokens of the iterations under way.
    pub in_flight: u32,
    /// LLM engines: blocks it holds under a name in the prefix cache, from the first on.
    pub named: u32,
    /// LLM engines: as many of its blocks as have a namesake in the cache, which it holds too.
    pub unnamed: u32,
    /// LLM engines that speculate: KV tokens it has blocks for while it decodes, drafts included.
    pub lookahead: u32,
    /// LLM engines: with pipeline parallelism the micro-batch it decodes in, with data-parallel
    /// attention the rank it is at; 0 without.
    pub lane: u16,
    /// LLM engines: whether it decodes (true) or is still in prefill.
    pub decoding: bool,
    /// Whether it is at its replica: it has come, and neither left nor got lost.
    pub present: bool,
    /// Whether routers have been told that it has made its first token.
    pub told: bool,
}

impl Request {
    /// A request that has just arrived.
    #[inline]
    pub fn new(serial: u64, arrival: SimTime, prompt_tokens: u32, output_tokens: u32) -> Self {
        Request {
            serial,
            arrival,
            gateway: SimTime::NEVER,
            delivered: SimTime::NEVER,
            queued: SimTime::NEVER,
            scheduled: SimTime::NEVER,
            prefill_replica: ReplicaId(NONE),
            kv_arrived: SimTime::NEVER,
            resumed: SimTime::NEVER,
            first_token: SimTime::NEVER,
            last_token: SimTime::NEVER,
            prompt_tokens,
            output_tokens,
            replica: ReplicaId(NONE),
            user: NONE,
            tier: 0,
            preemptions: 0,
            rank: 0,
            gateway_replica: 0,
            cached_tokens: 0,
            prefix: Prefix::own(serial),
            work: Work::default(),
            next: NONE,
            previous: NONE,
        }
    }

    /// One that is offered, and arrives now.
    #[inline]
    pub fn of(offered: &Offered, serial: u64, now: SimTime) -> Self {
        Request {
            tier: offered.tier,
            user: offered.user,
            prefix: offered.prefix.clone(),
            ..Request::new(serial, now, offered.prompt_tokens, offered.output_tokens)
        }
    }

    /// Output tokens made for it, once it is not at work any more.
    pub fn tokens_made(&self) -> u32 {
        match self.last_token {
            SimTime::NEVER => self.work.generated,
            _ => self.output_tokens,
        }
    }
}

/// All requests in flight.
pub type Requests = Slab<Request>;

/// A doubly linked list of requests, threaded through the slab: no allocation, O(1) removal.
/// A request is on one list at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestList {
    head: u32,
    tail: u32,
    len: u32,
}

impl Default for RequestList {
    fn default() -> Self {
        RequestList {
            head: NONE,
            tail: NONE,
            len: 0,
        }
    }
}

impl RequestList {
    /// Requests on the list.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// True when it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot at the front.
    pub fn front(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    /// The slot at the back.
    pub fn back(&self) -> Option<u32> {
        (self.tail != NONE).then_some(self.tail)
    }

    /// Appends a slot.
    pub fn push_back(&mut self, requests: &mut Requests, slot: u32) {
        let tail = self.tail;
        {
            let request = requests.at_mut(slot);
            request.next = NONE;
            request.previous = tail;
        }
        match tail {
            NONE => self.head = slot,
            tail => requests.at_mut(tail).next = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    /// Puts a slot first.
    pub fn push_front(&mut self, requests: &mut Requests, slot: u32) {
        let head = self.head;
        {
            let request = requests.at_mut(slot);
            request.next = head;
            request.previous = NONE;
        }
        match head {
            NONE => self.tail = slot,
            head => requests.at_mut(head).previous = slot,
        }
        self.head = slot;
        self.len += 1;
    }

    /// Takes the first slot off.
    pub fn pop_front(&mut self, requests: &mut Requests) -> Option<u32> {
        let slot = self.front()?;
        self.remove(requests, slot);
        Some(slot)
    }

    /// Takes a slot off, wherever it is on this list.
    pub fn remove(&mut self, requests: &mut Requests, slot: u32) {
        let (next, previous) = {
            let request = requests.at_mut(slot);
            let links = (request.next, request.previous);
            request.next = NONE;
            request.previous = NONE;
            links
        };
        match previous {
            NONE => self.head = next,
            previous => requests.at_mut(previous).next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => requests.at_mut(next).previous = previous,
        }
        self.len -= 1;
    }

    /// The slots from front to back.
    pub fn iter<'a>(&self, requests: &'a Requests) -> impl Iterator<Item = u32> + use<'a> {
        let mut slot = self.head;
        std::iter::from_fn(move || {
            let here = (slot != NONE).then_some(slot)?;
            slot = requests.at(here).next;
            Some(here)
        })
    }
}

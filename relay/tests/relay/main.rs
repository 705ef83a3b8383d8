//! What a relay does as its clients, its backends and its disk see it; one claim a file. One program,
//! because each takes its time to be linked.
//!
//! What goes wrong elsewhere, and the test that it does not here:
//!
//! | what | where | test |
//! |---|---|---|
//! | buffers of the queue are written over by later requests | influxdb-srelay #39 | `queued_batches_keep_their_own_bytes_and_are_not_joined` |
//! | bodies are joined without a newline | influxdb-srelay #39 | `a_body_that_would_swallow_the_next_goes_alone`, `datagrams_are_as_safe_as_requests` |
//! | a 500 that no retry mends stops the queue | influxdb-relay #71 | `a_missing_retention_policy_holds_up_no_other_policy_of_its_database`, `what_a_backend_fails_at_holds_up_its_own_series_only` |
//! | a torn tail mis-frames what follows | influx-proxy | `a_torn_tail_costs_nothing_that_was_acknowledged` |
//! | failures are retried without a pause | influx-proxy | `a_5xx_goes_to_the_log_and_is_retried_with_pauses` |
//! | the position is stored when a block is read | vmagent | `what_was_under_way_when_the_relay_was_killed_is_sent_again` |
//! | another address or order loses the queue | vmagent #4014 | `a_queue_belongs_to_the_name_whatever_address_and_order` |
//! | a flipped bit is not noticed, or costs a segment | influxdb #24603, telegraf #18528 | `a_flipped_bit_costs_one_batch_and_is_told` |
//! | a file goes before the position is durable | vector #25570 | `a_power_cut_at_any_call_loses_nothing_that_was_acknowledged` |
//! | a change of targets during an outage loses data | prometheus #12559 | `backends_change_while_writes_go_on` |
//! | each store gives a line its own time | influxdb-srelay | `lines_without_a_time_get_the_same_one_at_every_backend` |
//! | the stores diverge | influxdb-relay #69, #34, #53 | `both_backends_end_equal_whatever_happens` |
//! | the queue is memory | influxdb-relay #85, prometheus #5750 | `a_killed_relay_loses_nothing_that_it_acknowledged`, `an_outage_takes_disk_and_no_memory` |
//! | what waits for a missing database is dropped | veepee #43 | `a_missing_database_holds_up_no_other` |
//! | one request stops all, and cannot be got out | influxdb #23109 | `one_bad_line_costs_itself_only`, `dead_letters_come_back_into_the_queue_when_an_operator_says_so` |
//! | no reads, no failover | influxdb-relay #11, #64 | `reads_go_to_a_backend_that_is_not_behind` |
//! | nothing to look at, or no JSON | influxdb-relay #49, veepee #23, #32 | `operators_can_look` |
//! | no newer APIs | influxdb-relay #81, #84 | `writes_of_newer_apis_arrive_as_writes_of_the_first` |
//! | "unable to parse points" without a word more | veepee #17 | `what_the_backends_agree_on_is_passed_through` |
//! | errors while one store is away | veepee #20 | `a_backend_that_was_down_gets_all_it_missed_in_order` |
//! | a copy of the outage's window doubles points | syncflux #47 | `a_hole_in_one_of_two_real_stores_is_found_and_mended` |
//! | new data waits behind the backlog | VictoriaMetrics #8833 | `a_slow_write_holds_up_its_own_lanes_only`, `a_missing_database_holds_up_no_other` |
//! | a full queue drops the oldest, unasked | VictoriaMetrics #6952 | `a_full_queue_refuses_with_503_and_takes_again_when_it_is_drained` |
//! | a full disk ends the process | VictoriaMetrics #4924, #10225 | `a_full_disk_is_503_for_what_needs_it_and_nothing_for_what_does_not` |
//! | one bad target breaks all | VictoriaMetrics #7826, vector #4455 | `a_backend_that_answers_nothing_costs_a_client_no_more_than_the_hedge` |
//! | a store that answers 204 and keeps nothing | influxdb #9923, #24901 | `a_hole_in_one_of_two_real_stores_is_found_and_mended` |
//! | stuck at the start with a full queue | opentelemetry-collector #12532 | `a_relay_starts_with_a_full_queue_and_drains_it` |

mod contract;
mod disk;
mod fan_out;
mod ghosts;
mod held;
mod influxd;
mod joined;
mod listen;
mod outage;
mod pairs;
mod poison;
mod queue;
mod slow;
mod soak;
mod support;

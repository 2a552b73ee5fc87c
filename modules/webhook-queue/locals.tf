locals {
  # Lambda's advice for queues, so that a message is not handed out again while it is worked on.
  visibility_timeout_seconds = 6 * var.forwarder.function_timeout_seconds

  content_based_deduplication = anytrue([for route in values(var.routes) : route.deduplication == "content"])

  # The delays of each route's schedule, and what jitter (a tenth at most) can leave of them. After
  # 31 doublings every schedule has reached its longest delay.
  delays_seconds = {
    for name, route in var.routes : name => [
      for doublings in range(32) :
      min(route.retry.initial_delay_seconds * pow(2, doublings), route.retry.max_delay_seconds)
    ]
  }
  shortest_delays_seconds = {
    for name, delays in local.delays_seconds : name => [for delay in delays : ceil(delay * 90 / 100)]
  }

  # The delays below the longest, added up from the first: one retry each.
  growing_seconds = {
    for name, route in var.routes : name => [
      for index, delay in local.delays_seconds[name] :
      sum(slice(local.shortest_delays_seconds[name], 0, index + 1)) if delay < route.retry.max_delay_seconds
    ]
  }
  attempts = {
    for name, route in var.routes : name => (
      1
      + length([for seconds in local.growing_seconds[name] : seconds if seconds <= route.give_up_after_seconds])
      + floor(
        max(0, route.give_up_after_seconds - try(max(local.growing_seconds[name]...), 0))
        / ceil(route.retry.max_delay_seconds * 90 / 100)
      )
    )
  }

  # Messages that wait behind a failing one are received with it: at most a batch full.
  receives_until_given_up = max([for attempts in values(local.attempts) : attempts + var.forwarder.batch_size]...)

  throughput = var.queue.high_throughput ? {
    deduplication_scope   = "messageGroup"
    fifo_throughput_limit = "perMessageGroupId"
    } : {
    deduplication_scope   = "queue"
    fifo_throughput_limit = "perQueue"
  }
}

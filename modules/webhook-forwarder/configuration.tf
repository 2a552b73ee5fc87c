# What the forwarder is told, in the shape of the environment's configuration file. As in the
# domain, what has its default is left out: all of a function's variables share 4 KB.
locals {
  defaults = {
    deduplication         = "request"
    pass_headers          = tolist([])
    retry                 = { initial_delay_seconds = 2, max_delay_seconds = 300 }
    give_up_after_seconds = 259200
    on_reject             = "dead_letter"
    timeout_seconds       = 10

    queue = {
      retention_seconds             = 1209600
      dead_letter_retention_seconds = 1209600
      max_receive_count             = 1000
      max_message_bytes             = 258048
      high_throughput               = false
    }
    forwarder = {
      function_timeout_seconds = 60
      batch_size               = 10
      max_concurrency          = 10
      log_level                = "INFO"
    }
  }

  configuration = {
    for field, value in {
      environment = var.environment
      queue       = var.queue
      forwarder   = var.forwarder
      routes = {
        for name, route in var.routes : name => {
          for field, value in merge(route, {
            pass_headers = length(route.pass_headers) == 0 ? null : route.pass_headers
            destinations = [
              for destination in route.destinations : {
                for field, value in destination : field => value
                if field != "timeout_seconds" || value != local.defaults.timeout_seconds
              }
            ]
          }) : field => value if value != null && value != try(local.defaults[field], null)
        }
      }
    } : field => value if value != try(local.defaults[field], null)
  }

  variables = merge(var.environment_variables, {
    WEBHOOK_QUEUE_CONFIG  = jsonencode(local.configuration)
    QUEUE_URL             = var.queue_url
    DEAD_LETTER_QUEUE_URL = var.dead_letter_queue_url
    WEBHOOK_QUEUE_METRICS = "emf" # delivered, retried, rejected, dead-lettered, latency, age; by route
  })

  # The URLs are known only after the queues are made; 512 bytes are kept for both.
  variables_bytes = 512 + sum([
    for name, value in merge(local.variables, { QUEUE_URL = "", DEAD_LETTER_QUEUE_URL = "" }) :
    length(name) + length(value)
  ])

  # Loopback, private addresses, and names that only a private network resolves.
  private_http = join("", [
    "^http://(",
    join("|", [
      "[A-Za-z][A-Za-z0-9-]*",
      "[A-Za-z0-9.-]+\\.(internal|local|localhost|test)",
      "127(\\.[0-9]{1,3}){3}", "10(\\.[0-9]{1,3}){3}", "192\\.168(\\.[0-9]{1,3}){2}",
      "172\\.(1[6-9]|2[0-9]|3[01])(\\.[0-9]{1,3}){2}",
      "\\[::1\\]", "\\[[fF][cdCD][0-9A-Fa-f:]+\\]",
    ]),
    ")(:[0-9]{1,5})?([/?][^#\\s]*)?$",
  ])
}

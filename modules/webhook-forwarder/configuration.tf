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
    tolerance_seconds     = 300
    hmac                  = { algorithm = "sha256", encoding = "hex", prefix = "", signed_content = "{body}", secret_encoding = "text" }

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
    logs = { answers = false }
  }

  configuration = {
    for field, value in {
      environment = var.environment
      queue       = var.queue
      forwarder   = { for field, value in var.forwarder : field => value if try(length(value), 1) > 0 }
      logs        = { answers = var.logs.answers }
      routes = {
        for name, route in var.routes : name => {
          for field, value in merge(route, {
            former_paths    = length(route.former_paths) == 0 ? null : route.former_paths
            pass_headers    = length(route.pass_headers) == 0 ? null : route.pass_headers
            retry_statuses  = length(route.retry_statuses) == 0 ? null : route.retry_statuses
            reject_statuses = length(route.reject_statuses) == 0 ? null : route.reject_statuses
            verify = one([
              for verify in route.verify[*] : {
                for field, value in merge(verify, {
                  hmac = one([
                    for hmac in verify.hmac[*] : {
                      for field, value in hmac : field => value
                      if value != null && value != try(local.defaults.hmac[field], null)
                    }
                  ])
                }) : field => value if value != null && (field != "tolerance_seconds" || value != local.defaults.tolerance_seconds)
              }
            ])
            destinations = [
              for destination in route.destinations : {
                for field, value in merge(destination, {
                  headers = length(destination.headers) == 0 ? null : destination.headers
                }) : field => value
                if value != null && (field != "timeout_seconds" || value != local.defaults.timeout_seconds)
              }
            ]
          }) : field => value if value != null && value != try(local.defaults[field], null)
        }
      }
    } : field => value if value != try(local.defaults[field], null)
  }

  variables = merge(var.environment_variables, var.ingest_sender == null ? {} : {
    WEBHOOK_QUEUE_INGEST_SENDER = var.ingest_sender.unique_id # whose messages are not believed to be an operator's
    }, {
    # Without the escapes that `jsonencode` writes for HTML pages, which would take room.
    WEBHOOK_QUEUE_CONFIG  = replace(replace(replace(jsonencode(local.configuration), "\\u003c", "<"), "\\u003e", ">"), "\\u0026", "&")
    QUEUE_URL             = var.queue_url
    DEAD_LETTER_QUEUE_URL = var.dead_letter_queue_url
    WEBHOOK_QUEUE_SKIPS   = "ssm:${local.skips_parameter}" # which failing events an operator wants skipped
    WEBHOOK_QUEUE_METRICS = "emf"                          # delivered, failed, dead-lettered, latency, age; by route
  })

  # `cargo xtask skip` writes it, and the forwarder reads it when a message would stay. Until somebody
  # skips an event there is none.
  skips_parameter = "/${var.environment}/webhook/skips"

  # The URLs are known only after the queues are made, and the role's id after the role: as in the
  # domain, 512 bytes are kept for the URLs and 32 for the id.
  variables_bytes = 512 + 32 + sum([
    for name, value in merge(local.variables, { QUEUE_URL = "", DEAD_LETTER_QUEUE_URL = "", WEBHOOK_QUEUE_INGEST_SENDER = "" }) :
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

  # Where secrets are on AWS, as in the domain's `secret`.
  secret_reference = join("|", [
    "^ssm:(/[A-Za-z0-9_.-]+)+$",
    "^secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}$",
    "^secretsmanager:arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$",
  ])

  # Names of headers that a configuration cannot add to requests, as in the domain's `header`.
  headers_not_to_add = [
    "accept", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "keep-alive", "max-forwards", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "transfer-encoding", "upgrade", "via", "webhook-accepted-at",
    "webhook-attempt", "webhook-group", "webhook-id", "webhook-repeat", "webhook-sequence",
    "webhook-signature", "webhook-timestamp",
  ]

  # Link-local addresses and metadata services, unspecified, multicast and broadcast addresses.
  forbidden_address = join("", [
    "^https?://(",
    join("|", [
      "169\\.254(\\.[0-9]{1,3}){2}", "0(\\.0){0,3}", "2(2[4-9]|3[0-9])(\\.[0-9]{1,3}){3}", "255(\\.255){3}",
      "\\[(fe[89ab][0-9a-f]|ff[0-9a-f]{2}):[^\\]]*\\]", "\\[::\\]", "\\[fd00:0?ec2::254\\]",
    ]),
    ")([:/?]|$)",
  ])

  # The secrets that the function may read.
  secret_references = distinct(flatten([
    for route in values(var.routes) : [
      [for verify in route.verify[*] : verify.secrets],
      [for destination in route.destinations : destination.sign.secrets if destination.sign != null],
      [for destination in route.destinations : [for value in values(destination.headers) : value if can(regex("^(ssm|secretsmanager):", value))]],
      compact(route.destinations[*].client_certificate),
    ]
  ]))
  parameters = [for reference in local.secret_references : trimprefix(reference, "ssm:") if startswith(reference, "ssm:")]
  secrets    = [for reference in local.secret_references : trimprefix(reference, "secretsmanager:") if startswith(reference, "secretsmanager:")]
}

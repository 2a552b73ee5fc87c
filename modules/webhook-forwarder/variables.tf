variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. The names of the function and its role begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment is \"${var.environment}\"; a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter."
  }
}

variable "routes" {
  description = <<-EOT
    The routes, by name, as the forwarder gets them.
    `path`, `former_paths`, `ordering_key`, `deduplication`, `event_id`, `pass_headers`: as in the module webhook-ingest.
    `verify`: how the provider signs: `scheme` (`standard_webhooks`, `svix`, `github`, `slack`, `stripe`, `hmac`, `gitlab` or `token`); `secrets`, one reference `ssm:/PATH` or `secretsmanager:NAME-OR-ARN`, or two during a rotation; `tolerance_seconds` between the signed time and that of acceptance; and for `hmac` and `token` what the provider does.
    `destinations`: where events go, one or more: `name` in logs and dead letters; `url`, https, or http to private hosts, and without secrets in it; `timeout_seconds`, the longest exchange; `sign`, the `secrets` that requests are signed with; `headers` of every request, by name, whose values are text that anybody may see, or references as in `secrets`; `client_certificate`, a reference to the certificate that we show where the destination asks, with its private key; `max_in_flight` and `max_per_second`, the most attempts at the same time and a second, of all invocations together. Delivered means that every destination answered 2xx.
    `retry`: delays between attempts, in seconds, doubled from `initial_delay_seconds` up to `max_delay_seconds`.
    `retry_statuses`, `reject_statuses`: statuses that are worth another attempt besides 408, 425, 429 and 5xx, and those of these that are not: such as `404`, `500-503`, `5xx`.
    `give_up_after_seconds`: age at which a failing event goes to the dead-letter queue.
    `on_reject`: `dead_letter`, or `block`: a rejected event holds back its group until an operator acts.
  EOT
  type = map(object({
    path          = string
    former_paths  = optional(list(string), [])
    ordering_key  = string
    deduplication = optional(string, "request")
    event_id      = optional(string)
    pass_headers  = optional(list(string), [])
    verify = optional(object({
      scheme            = string
      secrets           = list(string)
      tolerance_seconds = optional(number, 300)
      hmac = optional(object({
        header           = string
        algorithm        = optional(string, "sha256")
        encoding         = optional(string, "hex")
        prefix           = optional(string, "")
        signed_content   = optional(string, "{body}")
        timestamp_header = optional(string)
        secret_encoding  = optional(string, "text")
      }))
      token = optional(object({
        header = string
      }))
    }))
    destinations = list(object({
      name            = string
      url             = string
      timeout_seconds = optional(number, 10)
      sign = optional(object({
        secrets = list(string)
      }))
      headers            = optional(map(string), {})
      client_certificate = optional(string)
      max_in_flight      = optional(number)
      max_per_second     = optional(number)
    }))
    retry = optional(object({
      initial_delay_seconds = optional(number, 2)
      max_delay_seconds     = optional(number, 300)
    }), {})
    retry_statuses        = optional(list(string), [])
    reject_statuses       = optional(list(string), [])
    give_up_after_seconds = optional(number, 259200)
    on_reject             = optional(string, "dead_letter")
  }))
  nullable = false

  validation {
    condition     = length(var.routes) > 0
    error_message = "routes is empty; at least one route is needed."
  }
  validation {
    condition     = alltrue([for name in keys(var.routes) : can(regex("^[a-z][a-z0-9-]{0,39}$", name))])
    error_message = "a route's name is 1 to 40 lower-case letters, digits and \"-\", and begins with a letter; are ${join(", ", keys(var.routes))}."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : length(route.destinations) > 0])
    error_message = "a route has no destinations; at least one is needed."
  }
  validation {
    condition     = alltrue([for destination in flatten(values(var.routes)[*].destinations) : can(regex("^[a-z][a-z0-9-]{0,39}$", destination.name))])
    error_message = "a destination's name is 1 to 40 lower-case letters, digits and \"-\", and begins with a letter; are ${join(", ", flatten(values(var.routes)[*].destinations)[*].name)}."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : length(distinct(route.destinations[*].name)) == length(route.destinations)])
    error_message = "two destinations of a route have the same name."
  }
  validation {
    condition = alltrue([
      for destination in flatten(values(var.routes)[*].destinations) :
      can(regex("^https://[^/?#@\\s]+([/?][^#\\s]*)?$", destination.url)) || can(regex(local.private_http, destination.url))
    ])
    error_message = "a URL is https, or http to loopback, a private address or a private name (without a dot, or ending in .internal, .local, .localhost or .test); it has no password and no fragment."
  }
  validation {
    condition = alltrue([
      for destination in flatten(values(var.routes)[*].destinations) :
      destination.timeout_seconds >= 1 && destination.timeout_seconds + 2.5 <= var.forwarder.function_timeout_seconds
      && floor(destination.timeout_seconds) == destination.timeout_seconds
    ])
    error_message = "timeout_seconds is a whole number of at least 1 and leaves 3 s of function_timeout_seconds, ${var.forwarder.function_timeout_seconds}, for a dead letter and the response; are ${join(", ", flatten(values(var.routes)[*].destinations)[*].timeout_seconds)}."
  }
  validation {
    condition = alltrue([
      for number in flatten([for destination in flatten(values(var.routes)[*].destinations) : [destination.max_in_flight[*], destination.max_per_second[*]]]) :
      number >= 1 && floor(number) == number
    ])
    error_message = "max_in_flight and max_per_second are whole numbers of at least 1."
  }
  validation {
    condition = alltrue([
      for text in flatten([for route in values(var.routes) : concat(route.retry_statuses, route.reject_statuses)]) :
      can(regex("^[3-5]([0-9]{2}|xx|[0-9]{2}-[3-5][0-9]{2})$", text))
      && try(tonumber(regex("^[0-9]{3}", text)) <= tonumber(regex("[0-9]{3}$", text)), true)
    ])
    error_message = "retry_statuses and reject_statuses are statuses of 300 to 599 such as \"404\", or ranges such as \"500-503\" or \"5xx\"; are ${join(", ", flatten([for route in values(var.routes) : concat(route.retry_statuses, route.reject_statuses)]))}."
  }
  # From the first status of a text to its last: of "5xx" from 500 to 599.
  validation {
    condition = alltrue(flatten([
      for route in values(var.routes) : [
        for status in range(300, 600) : !alltrue([
          for texts in [route.retry_statuses, route.reject_statuses] : anytrue([
            for text in texts : try(
              status >= tonumber(replace(substr(text, 0, 3), "x", "0")) && status <= tonumber(replace(substr(text, -3, -1), "x", "9")), false
            )
          ])
        ])
      ]
    ]))
    error_message = "a status is in both retry_statuses and reject_statuses of a route."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : contains(["dead_letter", "block"], route.on_reject)])
    error_message = "on_reject is \"dead_letter\" or \"block\"; are ${join(", ", values(var.routes)[*].on_reject)}."
  }
  validation {
    condition     = alltrue([for destination in flatten(values(var.routes)[*].destinations) : !can(regex(local.forbidden_address, lower(destination.url)))])
    error_message = "a URL leads to a link-local address, a metadata service, or an unspecified or multicast address, which are never called."
  }
  validation {
    condition = length(var.forwarder.allowed_hosts) == 0 || alltrue([
      for destination in flatten(values(var.routes)[*].destinations) : anytrue([
        for allowed in var.forwarder.allowed_hosts :
        startswith(allowed, "*") ? endswith(
          try(regex("^https?://(\\[[^\\]]*\\]|[^/:?#]+)", lower(destination.url))[0], ""), trimprefix(allowed, "*")
        ) : try(regex("^https?://(\\[[^\\]]*\\]|[^/:?#]+)", lower(destination.url))[0], "") == allowed
      ])
    ])
    error_message = "a destination's host is not among allowed_hosts, ${join(", ", var.forwarder.allowed_hosts)}."
  }
  validation {
    condition = alltrue([
      for verify in values(var.routes)[*].verify :
      contains(["standard_webhooks", "svix", "github", "slack", "stripe", "hmac", "gitlab", "token"], verify.scheme) if verify != null
    ])
    error_message = "scheme is one of standard_webhooks, svix, github, slack, stripe, hmac, gitlab, token."
  }
  # What stands here by mistake may be a secret, so it is not shown.
  validation {
    condition = alltrue(flatten([
      for route in values(var.routes) : [
        for secrets in concat([for verify in route.verify[*] : verify.secrets], [for destination in route.destinations : destination.sign.secrets if destination.sign != null]) :
        [for reference in secrets : can(regex(local.secret_reference, reference))]
      ]
    ]))
    error_message = "secrets are references: ssm:/PATH or secretsmanager:NAME-OR-ARN (env: and file: are for one machine; secrets themselves do not belong here)."
  }
  validation {
    condition = alltrue(flatten([
      for route in values(var.routes) : [
        for secrets in concat([for verify in route.verify[*] : verify.secrets], [for destination in route.destinations : destination.sign.secrets if destination.sign != null]) :
        contains([1, 2], length(secrets)) && length(distinct(secrets)) == length(secrets)
      ]
    ]))
    error_message = "secrets are one reference, or two different ones during a rotation."
  }
  validation {
    condition = alltrue([
      for name in flatten([for destination in flatten(values(var.routes)[*].destinations) : [for name in keys(destination.headers) : lower(name)]]) :
      can(regex("^[a-z0-9_-]{1,100}$", name)) && !contains(local.headers_not_to_add, name) && !can(regex("^(x-amz-|x-amzn-|x-forwarded-|access-control-|apigw-)", name))
    ])
    error_message = "a name in headers is one that the forwarder sets, is about the connection, reserved, or not letters, digits, \"-\" and \"_\"; are ${join(", ", flatten([for destination in flatten(values(var.routes)[*].destinations) : keys(destination.headers)]))}."
  }
  validation {
    condition = alltrue([
      for destination in flatten(values(var.routes)[*].destinations) :
      length(distinct([for name in keys(destination.headers) : lower(name)])) == length(destination.headers)
    ])
    error_message = "a header is in headers twice, in another case."
  }
  # What stands here by mistake may be a secret, so it is not shown.
  validation {
    condition = alltrue([
      for reference in compact(flatten(values(var.routes)[*].destinations)[*].client_certificate) : can(regex(local.secret_reference, reference))
    ])
    error_message = "client_certificate is a reference: ssm:/PATH or secretsmanager:NAME-OR-ARN (env: and file: are for one machine; certificate and key themselves do not belong here)."
  }
  validation {
    condition = alltrue([
      for destination in flatten(values(var.routes)[*].destinations) : startswith(lower(destination.url), "https:") if destination.client_certificate != null
    ])
    error_message = "client_certificate is for a URL with https: without TLS nobody asks for it."
  }
  # What stands here by mistake may be a secret, so it is not shown.
  validation {
    condition = alltrue([
      for value in flatten([for destination in flatten(values(var.routes)[*].destinations) : values(destination.headers)]) :
      can(regex("^(env|file|ssm|secretsmanager):", value)) ? can(regex(local.secret_reference, value)) : can(regex("^[!-~]([ -~]*[!-~])?$", value))
    ])
    error_message = "a value in headers is printable ASCII text without white space at its ends, or a reference: ssm:/PATH or secretsmanager:NAME-OR-ARN (env: and file: are for one machine)."
  }
  validation {
    condition = alltrue([
      for verify in values(var.routes)[*].verify :
      verify.tolerance_seconds >= 1 && floor(verify.tolerance_seconds) == verify.tolerance_seconds if verify != null
    ])
    error_message = "tolerance_seconds is a whole number of at least 1."
  }
  validation {
    condition     = alltrue([for verify in values(var.routes)[*].verify : (verify.scheme == "hmac") == (verify.hmac != null) if verify != null])
    error_message = "hmac is needed by the scheme hmac, and for no other."
  }
  validation {
    condition     = alltrue([for verify in values(var.routes)[*].verify : (verify.scheme == "token") == (verify.token != null) if verify != null])
    error_message = "token is needed by the scheme token, and for no other."
  }
  validation {
    condition = alltrue([
      for hmac in flatten([for route in values(var.routes) : [for verify in route.verify[*] : verify.hmac if verify.hmac != null]]) :
      contains(["sha256", "sha1", "sha512"], hmac.algorithm) && contains(["hex", "base64"], hmac.encoding)
      && contains(["text", "base64", "hex"], hmac.secret_encoding) && !can(regex("^[, \t]", hmac.prefix))
    ])
    error_message = "algorithm is sha256, sha1 or sha512, encoding hex or base64, secret_encoding text, base64 or hex, and prefix does not begin with what separates signatures, a comma or a blank."
  }
  validation {
    condition = alltrue([
      for hmac in flatten([for route in values(var.routes) : [for verify in route.verify[*] : verify.hmac if verify.hmac != null]]) :
      strcontains(hmac.signed_content, "{body}") && can(regex("^([^{}]|\\{body\\}|\\{header\\.[A-Za-z0-9_-]{1,100}\\})+$", hmac.signed_content))
    ])
    error_message = "signed_content is text with {body}, and with {header.NAME} where headers are signed, too."
  }
  validation {
    condition = alltrue([
      for hmac in flatten([for route in values(var.routes) : [for verify in route.verify[*] : verify.hmac if verify.hmac != null]]) :
      strcontains(lower(hmac.signed_content), lower("{header.${hmac.timestamp_header}}")) if hmac.timestamp_header != null
    ])
    error_message = "timestamp_header must be part of signed_content: a time that is not signed proves nothing."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) : length(setintersection(
        [for header in route.pass_headers : lower(header)], ["webhook-id", "webhook-timestamp", "webhook-signature"]
      )) == 0 if anytrue([for destination in route.destinations : destination.sign != null])
    ])
    error_message = "webhook-timestamp and webhook-signature cannot be passed on where a destination has sign, which sets them."
  }
}

variable "queue" {
  description = "The queue's settings, the same that the module webhook-queue was given: the forwarder checks its routes against them."
  type = object({
    retention_seconds             = optional(number, 1209600)
    dead_letter_retention_seconds = optional(number, 1209600)
    max_receive_count             = optional(number, 1000)
    max_message_bytes             = optional(number, 258048)
    high_throughput               = optional(bool, false)
  })
  default  = {}
  nullable = false
}

variable "forwarder" {
  description = <<-EOT
    `function_timeout_seconds`: longest run for one batch, 2 to 900.
    `batch_size`: messages per invocation, 1 to 10.
    `max_concurrency`: invocations at the same time, 2 to 1000.
    `log_level`: least severe log lines that are written: `DEBUG`, `INFO`, `WARN` or `ERROR`.
    `allowed_hosts`: the only hosts that destinations may have, such as `sss.example.com` or `*.example.com`; any unless given.
    `proxy`: the HTTP proxy that destinations are called through, such as `http://proxy.internal:3128`; none unless given.
  EOT
  type = object({
    function_timeout_seconds = optional(number, 60)
    batch_size               = optional(number, 10)
    max_concurrency          = optional(number, 10)
    log_level                = optional(string, "INFO")
    allowed_hosts            = optional(list(string), [])
    proxy                    = optional(string, "")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.forwarder.function_timeout_seconds >= 2 && var.forwarder.function_timeout_seconds <= 900
    error_message = "function_timeout_seconds is ${var.forwarder.function_timeout_seconds}; it must be 2 to 900."
  }
  validation {
    condition     = var.forwarder.batch_size >= 1 && var.forwarder.batch_size <= 10
    error_message = "batch_size is ${var.forwarder.batch_size}; a FIFO queue's batches hold 1 to 10 messages."
  }
  validation {
    condition     = var.forwarder.max_concurrency >= 2 && var.forwarder.max_concurrency <= 1000
    error_message = "max_concurrency is ${var.forwarder.max_concurrency}; Lambda takes 2 to 1000."
  }
  validation {
    condition     = contains(["DEBUG", "INFO", "WARN", "ERROR"], var.forwarder.log_level)
    error_message = "log_level is \"${var.forwarder.log_level}\"; it must be DEBUG, INFO, WARN or ERROR."
  }
  validation {
    condition = alltrue([
      for number in [var.forwarder.function_timeout_seconds, var.forwarder.batch_size, var.forwarder.max_concurrency] :
      floor(number) == number
    ])
    error_message = "function_timeout_seconds, batch_size and max_concurrency are whole numbers."
  }
  validation {
    condition     = alltrue([for host in var.forwarder.allowed_hosts : can(regex("^(\\*\\.)?[a-z0-9_:.\\[\\]-]+$", host))])
    error_message = "allowed_hosts are hosts in lower case without port, such as sss.example.com, or *.example.com for all below it; are ${join(", ", var.forwarder.allowed_hosts)}."
  }
  validation {
    condition     = can(regex("^(http://[^/?#@]+/?)?$", var.forwarder.proxy))
    error_message = "proxy is a host and a port without user, such as http://proxy.internal:3128."
  }
}

variable "queue_url" {
  description = "URL of the webhook queue."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://.+\\.fifo$", var.queue_url))
    error_message = "queue_url is \"${var.queue_url}\"; it must be the URL of a FIFO queue."
  }
}

variable "queue_arn" {
  description = "ARN of the webhook queue. The function lives in the queue's account and region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:.+\\.fifo$", var.queue_arn))
    error_message = "queue_arn is \"${var.queue_arn}\"; it must be the ARN of a FIFO queue."
  }
}

variable "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^https?://.+\\.fifo$", var.dead_letter_queue_url)) && var.dead_letter_queue_url != var.queue_url
    error_message = "dead_letter_queue_url is \"${var.dead_letter_queue_url}\"; it must be the URL of a FIFO queue, and not the webhook queue's."
  }
}

variable "dead_letter_queue_arn" {
  description = "ARN of the dead-letter queue."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:.+\\.fifo$", var.dead_letter_queue_arn)) && var.dead_letter_queue_arn != var.queue_arn
    error_message = "dead_letter_queue_arn is \"${var.dead_letter_queue_arn}\"; it must be the ARN of a FIFO queue, and not the webhook queue's."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the queues; null with SQS's own keys."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key; policies cannot name an alias."
  }
}

variable "ingest_sender" {
  description = <<-EOT
    The role that the ingest sends with, by its `unique_id`: the output `role_unique_id` of the module webhook-ingest.
    By it the forwarder tells what the ingest accepted from what an operator has sent, whose marks it believes. Null where no ingest of ours sends: then nobody's are believed.
  EOT
  # An object, so that it is known to be there before the role is made.
  type = object({
    unique_id = string
  })
  default = null

  validation {
    condition     = var.ingest_sender == null || can(regex("^[A-Za-z0-9]{1,32}$", try(var.ingest_sender.unique_id, "")))
    error_message = "ingest_sender.unique_id is the unique id of a role, such as AROA…, and neither its name nor its ARN."
  }
}

variable "secrets_kms_key_arn" {
  description = "ARN of the key that the secrets of `verify`, `sign`, `headers` and `client_certificate` are encrypted with; null with AWS's own keys, which need no right."
  type        = string
  default     = null

  validation {
    condition     = var.secrets_kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.secrets_kms_key_arn))
    error_message = "secrets_kms_key_arn must be the ARN of a key; policies cannot name an alias."
  }
}

variable "artifact" {
  description = <<-EOT
    The zip file with the function, as `cargo xtask package` makes it.
    `code_sha256`: its SHA-256 in base64, from the manifest.
    `path`: where it is on this machine; or `bucket` and `key`, and where the bucket has versions `object_version`.
    `architecture`: `arm64` or `x86_64`.
  EOT
  type = object({
    code_sha256    = string
    path           = optional(string)
    bucket         = optional(string)
    key            = optional(string)
    object_version = optional(string)
    architecture   = optional(string, "arm64")
  })
  nullable = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+/]{43}=$", var.artifact.code_sha256))
    error_message = "code_sha256 is \"${var.artifact.code_sha256}\"; it must be a SHA-256 in base64, 44 characters."
  }
  validation {
    condition     = (var.artifact.path == null) != (var.artifact.bucket == null) && (var.artifact.bucket == null) == (var.artifact.key == null)
    error_message = "artifact needs either path, or bucket and key."
  }
  validation {
    condition     = var.artifact.object_version == null || var.artifact.bucket != null
    error_message = "object_version is for an artifact in a bucket."
  }
  validation {
    condition     = contains(["arm64", "x86_64"], var.artifact.architecture)
    error_message = "architecture is \"${var.artifact.architecture}\"; it must be arm64 or x86_64."
  }
}

variable "memory_megabytes" {
  description = "Memory of the function, in MB, 128 to 10240. Its share of a processor grows with it."
  type        = number
  default     = 128
  nullable    = false

  validation {
    condition     = var.memory_megabytes >= 128 && var.memory_megabytes <= 10240 && floor(var.memory_megabytes) == var.memory_megabytes
    error_message = "memory_megabytes is ${var.memory_megabytes}; Lambda takes whole numbers from 128 to 10240."
  }
}

variable "reserved_concurrency" {
  description = "Invocations of the account's that are kept for this function; null keeps none. At least `max_concurrency`, or its surplus is throttled."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrency == null || try(var.reserved_concurrency >= var.forwarder.max_concurrency, false)
    error_message = "reserved_concurrency must be at least max_concurrency, ${var.forwarder.max_concurrency}: throttled receives count, and end in the dead-letter queue."
  }
}

variable "enabled" {
  description = "Whether the queue is read once this is created. Later changes are the operator's, who pauses and resumes; Terraform leaves them alone."
  type        = bool
  default     = true
  nullable    = false
}

variable "logs" {
  description = <<-EOT
    `retention_days`: how long log lines are kept, one of CloudWatch's choices from 1 to 3653.
    `kms_key_arn`: key to encrypt them with; CloudWatch's own unless given.
    `answers`: whether the line of a failed attempt has the beginning of the service's answer, at most 1,024 bytes, without the secrets of this configuration; services echo what they were sent.
  EOT
  type = object({
    retention_days = optional(number, 30)
    kms_key_arn    = optional(string)
    answers        = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.logs.retention_days
    )
    error_message = "retention_days is ${var.logs.retention_days}; CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "tracing" {
  description = "Whether invocations are traced by X-Ray."
  type        = bool
  default     = false
  nullable    = false
}

variable "vpc" {
  description = <<-EOT
    Where the function runs to reach destinations by their private names; outside of any VPC unless given.
    `subnet_ids`: subnets, better two or more in different zones. They need a way to SQS: an interface endpoint or a NAT gateway.
    `security_group_ids`: groups that let the function out to the destinations and to SQS.
  EOT
  type = object({
    subnet_ids         = set(string)
    security_group_ids = set(string)
  })
  default = null

  validation {
    condition     = var.vpc == null || (try(length(var.vpc.subnet_ids), 0) > 0 && try(length(var.vpc.security_group_ids), 0) > 0)
    error_message = "vpc needs at least one subnet and one security group."
  }
}

variable "environment_variables" {
  description = "More variables for the function, such as `SSL_CERT_FILE` for a private certificate authority or `AWS_ENDPOINT_URL_SQS` for an interface endpoint. Anybody who may read the function's configuration sees them."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.environment_variables), ["WEBHOOK_QUEUE_CONFIG", "WEBHOOK_QUEUE_INGEST_SENDER", "WEBHOOK_QUEUE_METRICS", "WEBHOOK_QUEUE_SKIPS", "QUEUE_URL", "DEAD_LETTER_QUEUE_URL"])) == 0
    error_message = "WEBHOOK_QUEUE_CONFIG, WEBHOOK_QUEUE_INGEST_SENDER, WEBHOOK_QUEUE_METRICS, WEBHOOK_QUEUE_SKIPS, QUEUE_URL and DEAD_LETTER_QUEUE_URL are set by the module."
  }
  validation {
    condition = alltrue([
      for name in keys(var.environment_variables) :
      can(regex("^[A-Za-z][A-Za-z0-9_]*$", name))
      && !can(regex("^(AWS_REGION|AWS_DEFAULT_REGION|AWS_EXECUTION_ENV|AWS_LAMBDA_.*|AWS_ACCESS_KEY.*|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|LAMBDA_TASK_ROOT|LAMBDA_RUNTIME_DIR)$", name))
    ])
    error_message = "a variable's name is letters, digits and \"_\", begins with a letter, and is none that Lambda keeps for itself; are ${join(", ", keys(var.environment_variables))}."
  }
}

variable "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the role's permissions, where the account demands one."
  type        = string
  default     = null
}

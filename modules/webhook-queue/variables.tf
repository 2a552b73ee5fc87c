variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. The queues' names begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment is \"${var.environment}\"; a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter."
  }
}

variable "routes" {
  description = <<-EOT
    What the queue must know of each route, by the route's name. Other attributes are ignored.
    `deduplication`: `request`, `content` or an expression; only `content` turns content-based deduplication on.
    `retry`: delays between attempts, in seconds, doubled from `initial_delay_seconds` up to `max_delay_seconds`.
    `give_up_after_seconds`: age at which a failing event goes to the dead-letter queue.
  EOT
  type = map(object({
    deduplication = optional(string, "request")
    retry = optional(object({
      initial_delay_seconds = optional(number, 2)
      max_delay_seconds     = optional(number, 300)
    }), {})
    give_up_after_seconds = optional(number, 259200)
  }))
  nullable = false

  validation {
    condition     = length(var.routes) > 0
    error_message = "routes is empty; at least one route is needed."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) :
      route.retry.initial_delay_seconds >= 1
      && route.retry.initial_delay_seconds <= route.retry.max_delay_seconds
      && route.retry.max_delay_seconds <= 43100
    ])
    error_message = "retry needs 1 <= initial_delay_seconds <= max_delay_seconds <= 43100 (a visibility timeout) in every route."
  }
  validation {
    condition     = alltrue([for route in values(var.routes) : route.give_up_after_seconds >= 1])
    error_message = "give_up_after_seconds must be at least 1 in every route."
  }
  validation {
    condition = alltrue(flatten([
      for route in values(var.routes) : [
        for number in [route.retry.initial_delay_seconds, route.retry.max_delay_seconds, route.give_up_after_seconds] :
        floor(number) == number
      ]
    ]))
    error_message = "initial_delay_seconds, max_delay_seconds and give_up_after_seconds are whole numbers."
  }
}

variable "queue" {
  description = <<-EOT
    `retention_seconds`: how long an event may wait, 60 to 1209600 (14 days).
    `dead_letter_retention_seconds`: the same for a dead letter.
    `max_receive_count`: receives after which SQS itself moves a message, 5 to 1000: the net under crashes, so high that an outage alone never reaches it.
    `max_message_bytes`: largest message, body and attributes, 1024 to 258048: 4 KiB below the dead-letter queue's, so that the reason fits beside it.
    `high_throughput`: deduplication and throughput per message group instead of per queue.
  EOT
  type = object({
    retention_seconds             = optional(number, 1209600)
    dead_letter_retention_seconds = optional(number, 1209600)
    max_receive_count             = optional(number, 1000)
    max_message_bytes             = optional(number, 258048)
    high_throughput               = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.queue.retention_seconds >= 60 && var.queue.retention_seconds <= 1209600
    error_message = "retention_seconds is ${var.queue.retention_seconds}; SQS takes 60 to 1209600."
  }
  validation {
    condition     = var.queue.dead_letter_retention_seconds >= 60 && var.queue.dead_letter_retention_seconds <= 1209600
    error_message = "dead_letter_retention_seconds is ${var.queue.dead_letter_retention_seconds}; SQS takes 60 to 1209600."
  }
  validation {
    condition     = var.queue.max_receive_count >= 5 && var.queue.max_receive_count <= 1000
    error_message = "max_receive_count is ${var.queue.max_receive_count}; it must be 5 (Lambda's advice) to 1000 (SQS's limit)."
  }
  validation {
    condition     = var.queue.max_receive_count >= local.receives_until_given_up
    error_message = "max_receive_count is ${var.queue.max_receive_count}; the retries of a route can come to ${local.receives_until_given_up} receives before they are given up. Raise it or max_delay_seconds, or lower give_up_after_seconds."
  }
  validation {
    condition     = var.queue.max_message_bytes >= 1024 && var.queue.max_message_bytes <= 258048
    error_message = "max_message_bytes is ${var.queue.max_message_bytes}; it must be 1024 to 258048, so that a dead letter can hold the message and the reason."
  }
  validation {
    condition = alltrue([
      for route in values(var.routes) :
      route.give_up_after_seconds + max(route.retry.max_delay_seconds, local.visibility_timeout_seconds) <= var.queue.retention_seconds
    ])
    error_message = "retention_seconds is ${var.queue.retention_seconds}; it must cover give_up_after_seconds and one more wait (max_delay_seconds or ${local.visibility_timeout_seconds}) of every route, or SQS deletes what was not given up."
  }
  validation {
    condition = alltrue([
      for number in [
        var.queue.retention_seconds, var.queue.dead_letter_retention_seconds,
        var.queue.max_receive_count, var.queue.max_message_bytes,
      ] : floor(number) == number
    ])
    error_message = "retention_seconds, dead_letter_retention_seconds, max_receive_count and max_message_bytes are whole numbers."
  }
}

variable "forwarder" {
  description = <<-EOT
    What the queue must know of the function that reads it. Other attributes are ignored.
    `function_timeout_seconds`: longest run for one batch, 2 to 900. The visibility timeout is six times this.
    `batch_size`: messages per invocation, 1 to 10.
  EOT
  type = object({
    function_timeout_seconds = optional(number, 60)
    batch_size               = optional(number, 10)
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
}

variable "encryption" {
  description = <<-EOT
    `kms_key_arn`: customer-managed key for both queues; SQS's own keys (SSE-SQS) unless given.
    `data_key_reuse_seconds`: how long SQS uses a data key of that key before it asks KMS again, 60 to 86400.
  EOT
  type = object({
    kms_key_arn            = optional(string)
    data_key_reuse_seconds = optional(number, 300)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.encryption.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.encryption.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key; policies cannot name an alias."
  }
  validation {
    condition     = var.encryption.data_key_reuse_seconds >= 60 && var.encryption.data_key_reuse_seconds <= 86400
    error_message = "data_key_reuse_seconds is ${var.encryption.data_key_reuse_seconds}; SQS takes 60 to 86400."
  }
}

variable "deletion_protection" {
  description = "Whether Terraform refuses every plan that would delete or replace a queue. How to lift it: the module's README."
  type        = bool
  default     = false
  nullable    = false
}

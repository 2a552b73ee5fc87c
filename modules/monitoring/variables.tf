variable "environment" {
  description = "Name of the environment, such as `dev`: 1 to 20 lower-case letters, digits and `-`. The names of alarms, topic and dashboard begin with it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.environment))
    error_message = "environment is \"${var.environment}\"; a name is 1 to 20 lower-case letters, digits and \"-\", and begins with a letter."
  }
}

variable "queue_arn" {
  description = "ARN of the webhook queue. Alarms and topic are made in its account and region."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:sqs:[a-z0-9-]+:[0-9]{12}:.+\\.fifo$", var.queue_arn))
    error_message = "queue_arn is \"${var.queue_arn}\"; it must be the ARN of a FIFO queue."
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

variable "dead_letter_retention_seconds" {
  description = "How long the dead-letter queue keeps messages, in seconds, 60 to 1209600."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.dead_letter_retention_seconds >= 60 && var.dead_letter_retention_seconds <= 1209600
    error_message = "dead_letter_retention_seconds is ${var.dead_letter_retention_seconds}; SQS takes 60 to 1209600."
  }
}

variable "function_name" {
  description = "Name of the forwarder function."
  type        = string
  nullable    = false
}

variable "routes" {
  description = "The routes, by name, each with an alarm of its own. Other attributes are ignored. `retry.max_delay_seconds`: the longest time between two attempts, in seconds."
  type = map(object({
    retry = optional(object({
      max_delay_seconds = optional(number, 300)
    }), {})
  }))
  nullable = false

  validation {
    condition     = alltrue([for route in values(var.routes) : route.retry.max_delay_seconds >= 1 && route.retry.max_delay_seconds <= 43100])
    error_message = "max_delay_seconds must be 1 to 43100: SQS hides a message for twelve hours at most."
  }
}

variable "api" {
  description = "The HTTP API: its `id`, and the `stage` that webhooks come by. On an API that others use as well, their errors count too."
  type = object({
    id    = string
    stage = optional(string, "$default")
  })
  nullable = false
}

variable "thresholds" {
  description = <<-EOT
    When an alarm goes off.
    `oldest_message_seconds`: age of the oldest waiting message.
    `not_receiving_minutes`: minutes in which nobody asked the queue for messages, 5 to 1440; how long a pause may last unnoticed.
    `dead_letter_age_share`: share of the dead-letter queue's retention that its oldest message may reach, between 0 and 1.
    `api_client_errors`: requests refused with 4xx within five minutes.
    `api_server_errors`: requests answered 5xx within five minutes.
  EOT
  type = object({
    oldest_message_seconds = optional(number, 900)
    not_receiving_minutes  = optional(number, 15)
    dead_letter_age_share  = optional(number, 0.75)
    api_client_errors      = optional(number, 10)
    api_server_errors      = optional(number, 1)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.thresholds.oldest_message_seconds >= 1 && var.thresholds.api_client_errors >= 1 && var.thresholds.api_server_errors >= 1
    error_message = "oldest_message_seconds, api_client_errors and api_server_errors must be at least 1: with 0 the alarm would always be on."
  }
  validation {
    condition = (
      var.thresholds.not_receiving_minutes >= 5 && var.thresholds.not_receiving_minutes <= 1440
      && floor(var.thresholds.not_receiving_minutes) == var.thresholds.not_receiving_minutes
    )
    error_message = "not_receiving_minutes is ${var.thresholds.not_receiving_minutes}; it must be a whole number from 5 (a mapping on an idle queue asks every few seconds) to 1440 (CloudWatch looks back a day)."
  }
  validation {
    condition     = var.thresholds.dead_letter_age_share > 0 && var.thresholds.dead_letter_age_share < 1
    error_message = "dead_letter_age_share is ${var.thresholds.dead_letter_age_share}; it must be between 0 and 1: at 1 the message is gone."
  }
}

variable "notifications" {
  description = <<-EOT
    Who hears of alarms; at least one of both.
    `emails`: addresses, each of which must confirm its subscription once.
    `action_arns`: more actions, such as another topic's ARN.
  EOT
  type = object({
    emails      = optional(set(string), [])
    action_arns = optional(set(string), [])
  })
  nullable = false

  validation {
    condition     = length(var.notifications.emails) + length(var.notifications.action_arns) > 0
    error_message = "notifications needs an e-mail address or an action: an alarm that nobody hears is none."
  }
  validation {
    condition     = alltrue([for email in var.notifications.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", email))])
    error_message = "emails has something that is not an address: ${join(", ", var.notifications.emails)}."
  }
  validation {
    condition     = length(var.notifications.action_arns) <= 4 && alltrue([for arn in var.notifications.action_arns : can(regex("^arn:", arn))])
    error_message = "action_arns has at most 4 ARNs: CloudWatch takes 5 actions, and the topic is one."
  }
}

variable "kms_key_arn" {
  description = "ARN of the key that encrypts the topic; its policy must let `cloudwatch.amazonaws.com` use it, and may not be the one that AWS has for SNS. Unless given it is the key with the alias `alias/ENV-webhook-alarms`, which modules/bootstrap makes."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key."
  }
}

variable "runbook_url" {
  description = "Where the runbook is; each alarm points to its section of it."
  type        = string
  default     = "docs/runbook.md"
  nullable    = false

  validation {
    condition     = can(regex("^[^#\\s]+$", var.runbook_url))
    error_message = "runbook_url is \"${var.runbook_url}\"; it must be an address without #, which the sections follow."
  }
}

output "api_endpoint" {
  description = "URL of the HTTP API, without stage and path."
  value       = module.ingest.api_endpoint
}

output "api_id" {
  description = "Id of the HTTP API."
  value       = module.ingest.api_id
}

output "ingest_urls" {
  description = "The URL to give to the SaaS, by the route's name."
  value       = { for name, route in var.routes : name => "${local.ingest_base}${route.path}" }
}

output "queue_url" {
  description = "URL of the webhook queue."
  value       = module.queue.queue_url
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  value       = module.queue.dead_letter_queue_url
}

output "function_name" {
  description = "Name of the forwarder function."
  value       = module.forwarder.function_name
}

output "function_version" {
  description = "The published version that delivers."
  value       = module.forwarder.function_version
}

output "code_sha256" {
  description = "SHA-256 of the code that runs, in base64, as Lambda computed it."
  value       = module.forwarder.code_sha256
}

output "event_source_mapping_uuid" {
  description = "Id of the event source mapping, which is paused and resumed."
  value       = module.forwarder.event_source_mapping_uuid
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = module.forwarder.log_group_name
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = module.monitoring.dashboard_name
}

output "stub_url" {
  description = "URL that the stand-in for the service answers on; null without it."
  value       = var.aws.sss_stub ? "${local.ingest_base}${module.sss_stub[0].path}" : null
}

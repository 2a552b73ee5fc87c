output "api_endpoint" {
  description = "URL of the HTTP API, without stage and path."
  value       = module.webhook.api_endpoint
}

output "api_id" {
  description = "Id of the HTTP API."
  value       = module.webhook.api_id
}

output "ingest_urls" {
  description = "The URL to give to the SaaS, by the route's name."
  value       = module.webhook.ingest_urls
}

output "queue_url" {
  description = "URL of the webhook queue."
  value       = module.webhook.queue_url
}

output "dead_letter_queue_url" {
  description = "URL of the dead-letter queue."
  value       = module.webhook.dead_letter_queue_url
}

output "function_name" {
  description = "Name of the forwarder function."
  value       = module.webhook.function_name
}

output "function_version" {
  description = "The published version that delivers."
  value       = module.webhook.function_version
}

output "code_sha256" {
  description = "SHA-256 of the code that runs, in base64, as Lambda computed it."
  value       = module.webhook.code_sha256
}

output "event_source_mapping_uuid" {
  description = "Id of the event source mapping, which is paused and resumed."
  value       = module.webhook.event_source_mapping_uuid
}

output "log_group_name" {
  description = "Name of the function's log group."
  value       = module.webhook.log_group_name
}

output "dashboard_name" {
  description = "Name of the dashboard."
  value       = module.webhook.dashboard_name
}

output "stub_url" {
  description = "URL that the stand-in for the service answers on; null without it."
  value       = module.webhook.stub_url
}

output "region" {
  description = "Region that this is deployed to."
  value       = var.aws.region
}

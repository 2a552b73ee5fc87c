module "queue" {
  source = "../../../webhook-queue"

  environment = "dev"
  routes      = { sss = { deduplication = "request" } }
  queue       = { dead_letter_retention_seconds = 1209600 }
  forwarder   = { function_timeout_seconds = 60 }
}

output "queue_url" {
  value = module.queue.queue_url
}

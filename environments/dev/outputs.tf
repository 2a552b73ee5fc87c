output "webhook" {
  description = "What was deployed: the outputs of modules/webhook-system, which says what each is."
  value       = module.webhook
}
